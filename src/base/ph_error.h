/* SPDX-License-Identifier: Apache-2.0
 * ph_error.h - how rooms report operating errors: a code and, if wanted, a sentence. */
#ifndef PH_ERROR_H
#define PH_ERROR_H

#include <phantom/error.h>

/**
 * Fill the message of diag (NULL allowed) and return error, so that a failing path is one line:
 *     return ph_fail(diag, PHANTOM_ECORRUPT, "%s: record %u: bad sum", name, slot);
 */
int ph_fail(struct phantom_diag *diag, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* PH_ERROR_H */
