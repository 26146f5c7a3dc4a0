/* SPDX-License-Identifier: Apache-2.0
 *
 * error.h - the error codes of libphantom and their texts.
 *
 * Stability: the numbers are part of the ABI; new ones are added at the end of the list.
 *
 * A function that can fail returns int: 0 or positive on success, negative on failure. A failure
 * is either -errno (the operating system said no) or one of the codes below, which begin at -5000
 * so that the two never meet.
 */
#ifndef PHANTOM_ERROR_H
#define PHANTOM_ERROR_H

#include <stddef.h>

#ifndef PHANTOM_API
#define PHANTOM_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, number, text) */
#define PHANTOM_ERROR_MAP(X)                                                                       \
    X(EBUSY, -5000, "store is in use by another process")                                          \
    X(ECORRUPT, -5001, "store is damaged")                                                         \
    X(EFORMAT, -5002, "not a phantom store, or not a valid file of its kind")                      \
    X(EVERSION, -5003, "made by an incompatible version")                                          \
    X(ENOSPACE, -5004, "no space left; the last committed generation is untouched")                \
    X(EPOISONED, -5005, "an earlier write or flush failed; close and open the store again")        \
    X(EFORKED, -5006, "called in a forked child, which does not own the world")                    \
    X(EADDRESS, -5007, "the address range of the heap is already in use")                          \
    X(EUNSUPPORTED, -5008, "this kernel, file system or container does not allow it")              \
    X(EINVALID, -5009, "invalid argument or state")                                                \
    X(ENOTFOUND, -5010, "not found")                                                               \
    X(EVERIFY, -5011, "class file or bytecode refused by the verifier")                            \
    X(EPROGRAM, -5012, "the program failed: a thread ended by an unhandled exception")             \
    X(ETIMEOUT, -5013, "time limit reached; nothing was changed")                                  \
    X(EHEAPFULL, -5014, "the heap has reached its limit")                                          \
    X(EQUOTA, -5015, "a quota set by the host was reached")                                        \
    X(ESOURCE, -5016, "the source text has errors")                                                \
    X(EREADONLY, -5017, "opened read-only")                                                        \
    X(ESTOPPED, -5018, "stopped by request")                                                       \
    X(EKEY, -5019, "the store is encrypted and the key is missing or another, or the reverse")

enum phantom_error {
#define PHANTOM_ERROR_ENUM(name, number, text) PHANTOM_##name = number,
    PHANTOM_ERROR_MAP(PHANTOM_ERROR_ENUM)
#undef PHANTOM_ERROR_ENUM
};

/**
 * The text for an error code of this library or for a -errno. Never NULL; static storage or, for
 * -errno, the text of the C library.
 * @threads any
 */
PHANTOM_API const char *phantom_strerror(int error);

/** The symbolic name, e.g. "PHANTOM_ECORRUPT" or "EIO". Never NULL. @threads any */
PHANTOM_API const char *phantom_err_name(int error);

/**
 * Room for a message that a human can act on: which file, which place, what was wrong. The caller
 * provides it; the library fills in text (always terminated) only when a call fails or has
 * something to report. Set size to sizeof(struct phantom_diag) before the first use, or use
 * PHANTOM_DIAG_INIT.
 */
struct phantom_diag {
    size_t size;
    char text[504];
};
#define PHANTOM_DIAG_INIT                                                                          \
    {                                                                                              \
        sizeof(struct phantom_diag),                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

#ifdef __cplusplus
}
#endif
#endif /* PHANTOM_ERROR_H */
