/* SPDX-License-Identifier: Apache-2.0
 *
 * port_instance.c - HAL instances: made from their parts, ended in the opposite order; the default
 * one of the process.
 *
 * Owns the pointer to the default instance (one of the three pieces of process-wide state of this
 * room; the others are the current-thread pointer and what signal handlers and constructors need).
 * It is made by whoever needs it first and lives as long as the process.
 */
#include "port_internal.h"

#include <pthread.h>
#include <string.h>

struct hardware_abstraction_level hal;

static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;
static struct phantom_hal *_Atomic default_instance;

void phantom_hal_options_init(struct phantom_hal_options *options)
{
    *options = (struct phantom_hal_options){.size = sizeof(*options)};
}

struct part {
    int (*open)(struct phantom_hal *instance);
    void (*stop)(struct phantom_hal *instance); /* NULL: it calls nobody */
    void (*close)(struct phantom_hal *instance);
};

static int lib_open(struct phantom_hal *instance)
{
    instance->lib.is_default = instance->is_default;
    return port_lib_open(&instance->lib);
}

static void lib_close(struct phantom_hal *instance)
{
    port_lib_close(&instance->lib);
}

struct port_lib_state *port_lib_state(void)
{
    return &port_hal()->lib;
}

/* Memory and the threads' table are needed by all others, so they are first and end last. */
static const struct part parts[] = {
    {port_threads_open, NULL, port_threads_close},
    {port_memory_open, NULL, port_memory_close},
    {lib_open, NULL, lib_close},
    {port_stats_open, NULL, port_stats_close},
    {port_files_open, NULL, port_files_close},
    {port_disks_open, port_disks_stop, port_disks_close},
    {port_softirqs_open, port_softirqs_stop, port_softirqs_close},
    {port_dpc_open, port_dpc_stop, port_dpc_close},
    {port_timers_open, port_timers_stop, port_timers_close},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

/* Close the first `opened` parts, once all of them have stopped: until then callbacks go on that
 * may use any of them. */
static void close_parts(struct phantom_hal *instance, size_t opened)
{
    for (size_t i = opened; i > 0; i--) {
        if (parts[i - 1].stop != NULL) {
            parts[i - 1].stop(instance);
        }
    }
    while (opened > 0) {
        opened--;
        parts[opened].close(instance);
    }
}

static void free_instance(struct phantom_hal *instance)
{
    ph_free(instance->disk_path);
    ph_free(instance);
}

static int create(const struct phantom_hal_options *options, bool is_default,
                  struct phantom_hal **out)
{
    if (options->size != sizeof(*options) || options->phys_bytes % PAGE_SIZE != 0 ||
        options->window_bytes % PAGE_SIZE != 0 || options->phys_bytes / PAGE_SIZE > UINT32_MAX ||
        options->window_bytes / PAGE_SIZE > UINT32_MAX) {
        return EINVAL;
    }
    struct phantom_hal *instance = ph_zalloc(1, sizeof(*instance));
    if (instance == NULL) {
        return ENOMEM;
    }
    instance->options = *options;
    instance->is_default = is_default;
    instance->space = is_default ? &hal : &instance->own_space;
    if (options->disk_path != NULL) {
        instance->disk_path = ph_strdup(options->disk_path);
        if (instance->disk_path == NULL) {
            free_instance(instance);
            return ENOMEM;
        }
    }
    for (size_t i = 0; i < PARTS; i++) {
        int rc = parts[i].open(instance);
        if (rc != 0) {
            close_parts(instance, i);
            free_instance(instance);
            return rc;
        }
    }
    *out = instance;
    return 0;
}

int phantom_hal_create(const struct phantom_hal_options *options, struct phantom_hal **out)
{
    struct phantom_hal_options defaults;
    phantom_hal_options_init(&defaults);
    return create(options != NULL ? options : &defaults, false, out);
}

int phantom_hal_destroy(struct phantom_hal *instance)
{
    if (instance == NULL) {
        return 0;
    }
    struct port_thread *caller = port_thread_if_any();
    if (instance->is_default || (caller != NULL && caller->hal == instance)) {
        return EBUSY; /* it would wait for its caller */
    }
    int rc = port_threads_drain(instance);
    if (rc == 0) {
        close_parts(instance, PARTS);
        free_instance(instance);
    }
    return rc;
}

struct phantom_hal *port_default(void)
{
    struct phantom_hal *instance = atomic_load_explicit(&default_instance, memory_order_acquire);
    if (instance != NULL) {
        return instance;
    }
    (void)pthread_mutex_lock(&default_lock);
    instance = atomic_load(&default_instance);
    int rc = 0;
    if (instance == NULL) {
        struct phantom_hal_options options;
        phantom_hal_options_init(&options);
        rc = create(&options, true, &instance);
        if (rc == 0) {
            atomic_store_explicit(&default_instance, instance, memory_order_release);
        }
    }
    (void)pthread_mutex_unlock(&default_lock);
    if (rc != 0) {
        panic("no HAL instance: %s", strerror(rc));
    }
    return instance;
}

void port_default_end(void)
{
    port_threads_leave();
    struct phantom_hal *instance = atomic_exchange(&default_instance, NULL);
    if (instance != NULL) {
        (void)port_threads_drain(instance);
        close_parts(instance, PARTS);
        free_instance(instance);
    }
}

void phantom_hal_usage(struct phantom_hal_usage *out)
{
    struct phantom_hal *instance = port_hal();
    *out = (struct phantom_hal_usage){.threads = port_threads_count(instance),
                                      .disk_requests = port_disks_requests(instance),
                                      .worker_threads = port_timers_workers(instance) +
                                                        port_dpc_workers(instance)};
    port_memory_usage(instance, out);
}
