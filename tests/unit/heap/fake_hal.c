/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_hal.c - the part of <hal.h> that the heap room uses, over pthreads, so that the heap can be
 * tested without the Linux room.
 */
#include <errno.h>
#include <hal.h>
#include <pthread.h>
#include <stdlib.h>

struct hal_mutex_impl {
    pthread_mutex_t mutex;
};

errno_t hal_mutex_init(hal_mutex_t *m, const char *name)
{
    (void)name;
    m->impl = malloc(sizeof *m->impl);
    if (m->impl == NULL) {
        return ENOMEM;
    }
    int error = pthread_mutex_init(&m->impl->mutex, NULL);
    if (error != 0) {
        free(m->impl);
        m->impl = NULL;
    }
    return error;
}

errno_t hal_mutex_lock(hal_mutex_t *m)
{
    return pthread_mutex_lock(&m->impl->mutex);
}

errno_t hal_mutex_unlock(hal_mutex_t *m)
{
    return pthread_mutex_unlock(&m->impl->mutex);
}

errno_t hal_mutex_destroy(hal_mutex_t *m)
{
    int error = pthread_mutex_destroy(&m->impl->mutex);
    free(m->impl);
    m->impl = NULL;
    return error;
}
