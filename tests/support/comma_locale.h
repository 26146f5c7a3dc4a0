/* SPDX-License-Identifier: Apache-2.0
 *
 * comma_locale.h - a host whose numbers have a comma.
 */
#ifndef COMMA_LOCALE_H
#define COMMA_LOCALE_H

#include <stdbool.h>

/** Set the locale of this process to one whose decimal point is a comma. It need not be installed:
 *  one with nothing but the comma is made with localedef(1), in a folder that is gone on return.
 *  false: that did not work, and the reason is printed. @threads while there is one */
bool comma_locale_set(void);

#endif /* COMMA_LOCALE_H */
