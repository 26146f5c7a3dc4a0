/* SPDX-License-Identifier: Apache-2.0
 *
 * one_global_too_many.c - a file as the rooms must not have one: for the test that finds it.
 */
int next_of_many(void);

int next_of_many(void)
{
    static int counter;
    static const int step = 1;
    return counter += step;
}
