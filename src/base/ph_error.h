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
#ifdef __clang_analyzer__ /* which sees no other file: that it returns `error` */
#define ph_fail(diag, error, ...) (ph_fail(diag, error, __VA_ARGS__), (error))
#endif

#endif /* PH_ERROR_H */
