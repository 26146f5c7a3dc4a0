/* SPDX-License-Identifier: Apache-2.0
 *
 * ph_sanitizer.h - which sanitizer this is compiled with: they have the address space to themselves
 * in part, and some things take minutes under them. 0 or 1.
 */
#ifndef PH_SANITIZER_H
#define PH_SANITIZER_H

#if defined(__has_feature) /* clang */
#define PH_HAS_FEATURE(feature) __has_feature(feature)
#else
#define PH_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_THREAD__) || PH_HAS_FEATURE(thread_sanitizer)
#define PH_UNDER_TSAN 1
#else
#define PH_UNDER_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__) || PH_HAS_FEATURE(address_sanitizer)
#define PH_UNDER_ASAN 1
#else
#define PH_UNDER_ASAN 0
#endif

#endif /* PH_SANITIZER_H */
