/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_port.h - what the harnesses of the port share: the bytes of an input, taken one after the
 * other; a HAL instance of their own; panics that the interface promises, as a result.
 */
#ifndef FUZZ_PORT_H
#define FUZZ_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuzz_bytes {
    const uint8_t *data;
    size_t size;
};

/** The next bytes; 0 when there are none left. */
uint8_t fuzz_u8(struct fuzz_bytes *bytes);
uint16_t fuzz_u16(struct fuzz_bytes *bytes);
uint64_t fuzz_u64(struct fuzz_bytes *bytes);
/** At most `most` of them, copied to `to`; how many. */
size_t fuzz_copy(struct fuzz_bytes *bytes, void *to, size_t most);
/** All that is left, up to the next NUL, as text: terminated, ended by free(). */
char *fuzz_text(struct fuzz_bytes *bytes);

/**
 * Call body(context) inside a fresh instance whose console is silent.
 * @return false: it panicked, in a place where it may. What it had allocated is freed.
 */
bool fuzz_inside(void (*body)(void *context), void *context);

/** A fact that must hold whatever the input is. */
#define FUZZ_FACT(fact) ((fact) ? (void)0 : fuzz_broken(#fact, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *fact, const char *file, int line);

#endif /* FUZZ_PORT_H */
