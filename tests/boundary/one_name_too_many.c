/* SPDX-License-Identifier: Apache-2.0
 *
 * one_name_too_many.c - what a room's object would be in a static library if nothing hid its names:
 * the test `static-exports-sees-a-new-one` must find hal_init. Linked into nothing.
 */
void hal_init(void);

void hal_init(void)
{
}
