/* SPDX-License-Identifier: Apache-2.0
 *
 * i_sync.c - .internal.mutex, .internal.cond, .internal.sema: thin doors to pvm_wait.c.
 *
 * Mutexes are recursive and hand themselves over first in, first out. Times are milliseconds; twait
 * and tacquire return int 0, or 1 when the time was over.
 */
#include "pvm_internal.h"

#define COMMON_0_TO_4                                                                              \
    si_void_0_construct, si_void_1_destruct, si_void_2_class, si_void_3_clone, si_void_4_equals

static int64_t microseconds(int32_t milliseconds)
{
    return milliseconds < 0 ? 0 : (int64_t)milliseconds * 1000;
}

/* ---- mutex ---- */

static PVM_NATIVE(si_mutex_5_tostring)
{
    SYSCALL_RETURN_STRING("mutex");
}

static PVM_NATIVE(si_mutex_8_lock)
{
    *ret = pvm_create_null_object();
    return pvm_wait_mutex(tc, me);
}

static PVM_NATIVE(si_mutex_9_unlock)
{
    if (!pvm_mutex_unlock(tc, me)) {
        SYSCALL_THROW_STRING("mutex unlock - not owner");
    }
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_mutex_10_trylock)
{
    pvm_object_t yes = pvm_create_int_object(1); /* first: afterwards nothing may fail */
    pvm_object_t no = pvm_create_int_object(0);
    if (yes == NULL || no == NULL) {
        SYSCALL_RETURN_NOTHING;
    }
    SYSCALL_RETURN(pvm_mutex_try(tc, me) ? yes : no);
}

const syscall_func_t syscall_table_4_mutex[16] = {
    COMMON_0_TO_4,   si_mutex_5_tostring, si_void_6_toXML,     si_void_7_fromXML,
    si_mutex_8_lock, si_mutex_9_unlock,   si_mutex_10_trylock, invalid_syscall,
    invalid_syscall, invalid_syscall,     invalid_syscall,     si_void_15_hashcode,
};
DECLARE_SIZE(mutex);

static void visit_queue(gc_iterator_call_t func, const struct pvm_wait_queue *queue, void *arg)
{
    func(queue->first, arg);
    func(queue->last, arg);
}

void pvm_gc_iter_mutex(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    struct data_area_4_mutex *da = pvm_object_da(os, mutex);
    func(da->owner_thread ? pvm_da_to_object(da->owner_thread) : NULL, arg);
    visit_queue(func, &da->waiting, arg);
    func(da->monitor_object, arg);
    func(da->monitor_next, arg);
}

/* ---- cond ---- */

static PVM_NATIVE(si_cond_5_tostring)
{
    SYSCALL_RETURN_STRING("cond");
}

static int cond_wait(pvm_object_t me, pvm_object_t *ret, struct data_area_4_thread *tc,
                     pvm_object_t *args, int64_t timeout_us)
{
    ASSERT_CLASS(args[0], MUTEX);
    pvm_object_t yes = pvm_create_int_object(1);
    pvm_object_t no = pvm_create_int_object(0);
    if (yes == NULL || no == NULL) {
        SYSCALL_RETURN_NOTHING;
    }
    bool timed_out = false;
    int result = pvm_wait_cond(tc, me, args[0], timeout_us, &timed_out, ret);
    if (result == PVM_SYSCALL_RETURN) {
        *ret = timed_out ? yes : no;
    }
    return result;
}

static PVM_NATIVE(si_cond_8_wait)
{
    CHECK_PARAM_COUNT(1);
    return cond_wait(me, ret, tc, args, -1);
}

static PVM_NATIVE(si_cond_9_twait)
{
    CHECK_PARAM_COUNT(2);
    int32_t milliseconds = AS_INT(args[1]);
    return cond_wait(me, ret, tc, args, microseconds(milliseconds));
}

static PVM_NATIVE(si_cond_10_broadcast)
{
    pvm_cond_broadcast(me);
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_cond_11_signal)
{
    pvm_cond_signal(me);
    SYSCALL_RETURN_NOTHING;
}

const syscall_func_t syscall_table_4_cond[16] = {
    COMMON_0_TO_4,   si_cond_5_tostring, si_void_6_toXML,      si_void_7_fromXML,
    si_cond_8_wait,  si_cond_9_twait,    si_cond_10_broadcast, si_cond_11_signal,
    invalid_syscall, invalid_syscall,    invalid_syscall,      si_void_15_hashcode,
};
DECLARE_SIZE(cond);

void pvm_gc_iter_cond(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    visit_queue(func, &pvm_object_da(os, cond)->waiting, arg);
}

/* ---- sema ---- */

static PVM_NATIVE(si_sema_5_tostring)
{
    SYSCALL_RETURN_STRING("sema");
}

static PVM_NATIVE(si_sema_8_acquire)
{
    bool timed_out;
    *ret = pvm_create_null_object();
    return pvm_wait_sema(tc, me, -1, &timed_out);
}

static PVM_NATIVE(si_sema_9_tacquire)
{
    CHECK_PARAM_COUNT(1);
    int32_t milliseconds = AS_INT(args[0]);
    pvm_object_t yes = pvm_create_int_object(1);
    pvm_object_t no = pvm_create_int_object(0);
    if (yes == NULL || no == NULL) {
        SYSCALL_RETURN_NOTHING;
    }
    bool timed_out = false;
    int result = pvm_wait_sema(tc, me, microseconds(milliseconds), &timed_out);
    *ret = timed_out ? yes : no;
    return result;
}

static PVM_NATIVE(si_sema_10_zero)
{
    pvm_sema_zero(me);
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_sema_11_release)
{
    pvm_sema_release(me);
    SYSCALL_RETURN_NOTHING;
}

const syscall_func_t syscall_table_4_sema[16] = {
    COMMON_0_TO_4,     si_sema_5_tostring, si_void_6_toXML, si_void_7_fromXML,
    si_sema_8_acquire, si_sema_9_tacquire, si_sema_10_zero, si_sema_11_release,
    invalid_syscall,   invalid_syscall,    invalid_syscall, si_void_15_hashcode,
};
DECLARE_SIZE(sema);

void pvm_gc_iter_sema(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    visit_queue(func, &pvm_object_da(os, sema)->waiting, arg);
}
