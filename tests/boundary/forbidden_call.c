/* SPDX-License-Identifier: Apache-2.0
 *
 * forbidden_call.c - stands in the place of room heap and calls a room that heap may not know: for
 * the test that the call graph sees it.
 */
int snap_store_close(void *store);
int hal_mutex_lock(void *mutex);
int forbidden_call(void *store);

int forbidden_call(void *store)
{
    return hal_mutex_lock(store) + snap_store_close(store); /* the first is allowed */
}
