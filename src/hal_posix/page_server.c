/* SPDX-License-Identifier: Apache-2.0
 *
 * page_server.c - see page_server.h.
 *
 * Owns an event descriptor and two threads with all asynchronous signals blocked. The first sleeps
 * in poll() on the userfaultfd and the event descriptor and hands every fault to the source, one
 * after the other; two threads that wait for one page make two messages, and the source answers
 * both. The second calls the source's background function until that says it is done.
 *
 * No locks. stopping is set once; the event descriptor wakes the first thread, the second looks at
 * it between two pieces of work.
 */
#include "page_server.h"

#include "hal_internal.h"
#include "ph_check.h"
#include "ph_memory.h"
#include "uapi_compat.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MESSAGES = 16 }; /* faults taken from the kernel in one call */

struct page_server {
    int userfaultfd; /* the tracker's */
    int wake;        /* eventfd */
    uint8_t *base;
    struct snap_page_source source;
    atomic_bool stopping;
    pthread_t demand_thread, background_thread;
};

/* Take what faults there are. */
static void answer(struct page_server *server)
{
    struct uffd_msg message[MESSAGES];
    ssize_t got = read(server->userfaultfd, message, sizeof(message));
    for (ssize_t i = 0; i < got / (ssize_t)sizeof(message[0]); i++) {
        if (message[i].event == UFFD_EVENT_PAGEFAULT) {
            uint64_t offset = message[i].arg.pagefault.address - (uintptr_t)server->base;
            server->source.demand(server->source.context, offset / HAL_PAGE_SIZE);
        }
    }
}

static void *serve_demand(void *argument)
{
    struct page_server *server = argument;
    struct pollfd wait[] = {{.fd = server->userfaultfd, .events = POLLIN},
                            {.fd = server->wake, .events = POLLIN}};
    (void)pthread_setname_np(pthread_self(), "page loader");
    while (!atomic_load(&server->stopping)) {
        int ready = poll(wait, 2, -1);
        PH_CHECK(ready >= 0 || errno == EINTR || errno == EAGAIN || errno == ENOMEM);
        if (ready > 0 && wait[0].revents != 0) {
            answer(server);
        }
    }
    return NULL;
}

static void *serve_background(void *argument)
{
    struct page_server *server = argument;
    (void)pthread_setname_np(pthread_self(), "page reader");
    while (!atomic_load(&server->stopping) && server->source.background(server->source.context)) {
    }
    return NULL;
}

static void ask_to_stop(struct page_server *server)
{
    uint64_t one = 1;
    atomic_store(&server->stopping, true);
    ssize_t written = write(server->wake, &one, sizeof(one));
    PH_CHECK(written == (ssize_t)sizeof(one)); /* a fresh counter takes it */
}

static int start_threads(struct page_server *server)
{
    int rc = hal_thread_create(serve_demand, server, &server->demand_thread);
    if (rc != 0) {
        return -rc;
    }
    rc = hal_thread_create(serve_background, server, &server->background_thread);
    if (rc != 0) {
        ask_to_stop(server);
        (void)pthread_join(server->demand_thread, NULL);
    }
    return -rc;
}

int page_server_start(struct page_tracker *tracker, uint8_t *base, uint64_t count,
                      const struct snap_page_source *source, struct page_server **out)
{
    struct page_server *server = ph_zalloc(1, sizeof(*server));
    if (server == NULL) {
        return -ENOMEM;
    }
    server->userfaultfd = tracker->userfaultfd;
    server->base = base;
    server->source = *source;
    server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = server->wake >= 0 ? 0 : -errno;
    if (rc == 0) {
        rc = start_threads(server);
    }
    if (rc == 0) {
        rc = page_tracker_trap_missing(tracker, base, (struct snap_range){0, count});
        if (rc != 0) {
            page_server_stop(server);
        }
    }
    if (rc != 0) {
        hal_close(server->wake);
        ph_free(server);
        return rc;
    }
    *out = server;
    return 0;
}

void page_server_stop(struct page_server *server)
{
    ask_to_stop(server);
    (void)pthread_join(server->background_thread, NULL);
    (void)pthread_join(server->demand_thread, NULL);
}

void page_server_in_child(struct page_server *server)
{
    hal_close(server->wake);
    server->wake = -1;
}

void page_server_free(struct page_server *server)
{
    if (server != NULL) {
        hal_close(server->wake);
        ph_free(server);
    }
}
