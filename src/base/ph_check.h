/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_check.h - broken invariants. Three levels (CONTRIBUTING.md, "Errors"):
 *   PH_CHECK   stays in release builds: dying loses the work since the last snapshot, going on
 *              may save the damage;
 *   PH_DCHECK  only where NDEBUG is not defined;
 *   PH_AUDIT   whole-structure walks, only with -Daudit=true.
 * A failed check calls the fatal hook (default: message on stderr, then abort()). The hook must
 * not return.
 */
#ifndef PH_CHECK_H
#define PH_CHECK_H

typedef void (*ph_fatal_hook)(const char *file, int line, const char *what);

/** Replace the hook; returns the old one. Not synchronised: call before threads exist. */
ph_fatal_hook ph_set_fatal_hook(ph_fatal_hook hook);

_Noreturn void ph_check_failed(const char *file, int line, const char *what);

#define PH_CHECK(e)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(e), 0)) {                                                           \
            ph_check_failed(__FILE__, __LINE__, #e);                                               \
        }                                                                                          \
    } while (0)

#ifdef NDEBUG
#define PH_DCHECK(e) ((void)sizeof(!(e)))
#else
#define PH_DCHECK(e) PH_CHECK(e)
#endif

#ifdef PH_AUDIT_ENABLED
#define PH_AUDIT(e) PH_CHECK(e)
#else
#define PH_AUDIT(e) ((void)sizeof(!(e)))
#endif

#endif /* PH_CHECK_H */
