/* SPDX-License-Identifier: Apache-2.0
 *
 * port_softirq.c - handlers of interrupts, and soft interrupts, which in the port are recorded and
 * never dispatched.
 *
 * Owns the tables, and a thread that is started with the first request of a soft interrupt. The
 * mutex is a leaf; handlers run without it. Always true: a bit of `requested` is set, or its
 * handler was called after the request.
 */
#include "port_internal.h"

#include <kernel/interrupts.h>

struct irq_handler {
    struct irq_handler *next;
    void (*func)(void *arg);
    void *arg;
    bool shareable;
    uint64_t number; /* rises along the list */
};

struct port_softirqs {
    struct phantom_hal *hal;
    hal_mutex_t lock;
    hal_cond_t work;
    struct irq_handler *irqs[HAL_IRQS];
    uint64_t last_number;
    struct {
        void (*func)(void *arg);
        void *arg;
    } soft[HAL_SOFTIRQS];
    u_int32_t given, requested;
    int disabled;
    bool started, stop;
    hal_sem_t ended;
};

int port_softirqs_open(struct phantom_hal *instance)
{
    struct port_softirqs *irqs = ph_zalloc(1, sizeof(*irqs));
    if (irqs == NULL || hal_mutex_init(&irqs->lock, "interrupts") != 0) {
        ph_free(irqs);
        return ENOMEM;
    }
    if (hal_cond_init(&irqs->work, "interrupts") != 0 ||
        hal_sem_init(&irqs->ended, "interrupts") != 0) {
        (void)hal_cond_destroy(&irqs->work);
        (void)hal_mutex_destroy(&irqs->lock);
        ph_free(irqs);
        return ENOMEM;
    }
    irqs->hal = instance;
    irqs->given = 1;
    instance->softirqs = irqs;
    return 0;
}

void port_softirqs_stop(struct phantom_hal *instance)
{
    struct port_softirqs *irqs = instance->softirqs;
    (void)hal_mutex_lock(&irqs->lock);
    irqs->stop = true;
    bool started = irqs->started;
    (void)hal_cond_broadcast(&irqs->work);
    (void)hal_mutex_unlock(&irqs->lock);
    if (started) {
        (void)hal_sem_acquire(&irqs->ended);
    }
}

void port_softirqs_close(struct phantom_hal *instance)
{
    struct port_softirqs *irqs = instance->softirqs;
    for (int i = 0; i < HAL_IRQS; i++) {
        while (irqs->irqs[i] != NULL) {
            struct irq_handler *handler = irqs->irqs[i];
            irqs->irqs[i] = handler->next;
            ph_free(handler);
        }
    }
    hal_sem_destroy(&irqs->ended);
    (void)hal_cond_destroy(&irqs->work);
    (void)hal_mutex_destroy(&irqs->lock);
    ph_free(irqs);
}

/* ---- interrupts ----------------------------------------------------------------------------- */

errno_t hal_irq_alloc(int irq, void (*func)(void *), void *arg, int is_shareable)
{
    if (irq < 0 || irq >= HAL_IRQS || func == NULL) {
        return EINVAL;
    }
    struct irq_handler *handler = ph_zalloc(1, sizeof(*handler));
    if (handler == NULL) {
        return ENOMEM;
    }
    *handler = (struct irq_handler){NULL, func, arg, is_shareable != 0, 0};
    struct port_softirqs *irqs = port_hal()->softirqs;
    (void)hal_mutex_lock(&irqs->lock);
    struct irq_handler **end = &irqs->irqs[irq];
    bool busy = *end != NULL && !(handler->shareable && (*end)->shareable);
    while (*end != NULL) {
        end = &(*end)->next;
    }
    if (!busy) {
        handler->number = ++irqs->last_number;
        *end = handler;
    }
    (void)hal_mutex_unlock(&irqs->lock);
    if (busy) {
        ph_free(handler);
    }
    return busy ? EBUSY : 0;
}

void hal_irq_free(int irq, void (*func)(void *), void *arg)
{
    struct port_softirqs *irqs = port_hal()->softirqs;
    if (irq < 0 || irq >= HAL_IRQS) {
        return;
    }
    (void)hal_mutex_lock(&irqs->lock);
    struct irq_handler **at = &irqs->irqs[irq];
    while (*at != NULL && ((*at)->func != func || (*at)->arg != arg)) {
        at = &(*at)->next;
    }
    struct irq_handler *gone = *at;
    if (gone != NULL) {
        *at = gone->next;
    }
    (void)hal_mutex_unlock(&irqs->lock);
    ph_free(gone);
}

/* A copy of the first handler behind number `after`: a handler may free itself. */
static bool next_handler(struct port_softirqs *irqs, int irq, uint64_t after,
                         struct irq_handler *out)
{
    (void)hal_mutex_lock(&irqs->lock);
    const struct irq_handler *at = irqs->irqs[irq];
    while (at != NULL && at->number <= after) {
        at = at->next;
    }
    if (at != NULL) {
        *out = *at;
    }
    (void)hal_mutex_unlock(&irqs->lock);
    return at != NULL;
}

void phantom_hal_raise_irq(int irq)
{
    struct port_softirqs *irqs = port_hal()->softirqs;
    struct irq_handler handler = {.number = 0};
    if (irq < 0 || irq >= HAL_IRQS) {
        return;
    }
    (void)hal_mutex_lock(&irqs->lock);
    uint64_t last = irqs->last_number; /* what is allocated meanwhile is not called */
    (void)hal_mutex_unlock(&irqs->lock);
    while (next_handler(irqs, irq, handler.number, &handler) && handler.number <= last) {
        handler.func(handler.arg);
    }
}

/* ---- soft interrupts ------------------------------------------------------------------------ */

static void dispatch(void *argument)
{
    struct port_softirqs *irqs = argument;
    (void)t_current_set_name("SoftIrq");
    (void)hal_mutex_lock(&irqs->lock);
    while (!irqs->stop) {
        if (irqs->requested == 0 || irqs->disabled > 0) {
            (void)hal_cond_wait(&irqs->work, &irqs->lock);
            continue;
        }
        int irq = __builtin_ctz(irqs->requested);
        irqs->requested &= ~(UINT32_C(1) << irq);
        void (*func)(void *) = irqs->soft[irq].func;
        void *arg = irqs->soft[irq].arg;
        (void)hal_mutex_unlock(&irqs->lock);
        if (func != NULL) {
            (void)port_call_back(func, arg); /* a thread of the HAL: no call ends it */
        }
        (void)hal_mutex_lock(&irqs->lock);
    }
    (void)hal_mutex_unlock(&irqs->lock);
    hal_sem_release(&irqs->ended);
}

int hal_alloc_softirq(void)
{
    struct port_softirqs *irqs = port_hal()->softirqs;
    int irq = -1;
    (void)hal_mutex_lock(&irqs->lock);
    if (~irqs->given != 0) {
        irq = __builtin_ctz(~irqs->given);
        irqs->given |= UINT32_C(1) << irq;
    }
    (void)hal_mutex_unlock(&irqs->lock);
    return irq;
}

static void check_softirq(int irq)
{
    if (irq < 0 || irq >= HAL_SOFTIRQS) {
        panic("soft interrupt %d", irq);
    }
}

void hal_set_softirq_handler(int irq, void (*func)(void *), void *arg)
{
    check_softirq(irq);
    struct port_softirqs *irqs = port_hal()->softirqs;
    (void)hal_mutex_lock(&irqs->lock);
    irqs->soft[irq].func = func;
    irqs->soft[irq].arg = arg;
    (void)hal_mutex_unlock(&irqs->lock);
}

void hal_request_softirq(int irq)
{
    check_softirq(irq);
    struct port_softirqs *irqs = port_hal()->softirqs;
    (void)hal_mutex_lock(&irqs->lock);
    irqs->requested |= UINT32_C(1) << irq;
    if (!irqs->started && !irqs->stop) { /* if it cannot be started, the next request tries again */
        irqs->started = port_threads_start(irqs->hal, dispatch, irqs) >= 0;
    }
    (void)hal_cond_signal(&irqs->work);
    (void)hal_mutex_unlock(&irqs->lock);
}

void hal_disable_softirq(void)
{
    struct port_softirqs *irqs = port_hal()->softirqs;
    (void)hal_mutex_lock(&irqs->lock);
    irqs->disabled++;
    (void)hal_mutex_unlock(&irqs->lock);
}

void hal_enable_softirq(void)
{
    struct port_softirqs *irqs = port_hal()->softirqs;
    (void)hal_mutex_lock(&irqs->lock);
    bool balanced = irqs->disabled > 0;
    irqs->disabled -= balanced ? 1 : 0;
    (void)hal_cond_signal(&irqs->work);
    (void)hal_mutex_unlock(&irqs->lock);
    if (!balanced) {
        panic("hal_enable_softirq without hal_disable_softirq");
    }
}
