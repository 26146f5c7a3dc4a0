/* SPDX-License-Identifier: Apache-2.0
 *
 * bc_disasm.h - a class as text, for people and for golden tests.
 *
 * The text depends only on the class and the flags, and is pure ASCII: all other bytes of names and
 * constants are escaped. Code that cannot be decoded is shown as .byte lines, so any class that was
 * read has a disassembly. Format: docs/formats/class-file.md, "Disassembly".
 */
#ifndef BC_DISASM_H
#define BC_DISASM_H

#include "bc_class.h"

enum bc_disasm_flags {
    BC_DISASM_FACTS = 1,   /* the verifier's verdict on each method */
    BC_DISASM_NO_LINES = 2 /* leave out the source lines */
};

/**
 * @param flags      sum of enum bc_disasm_flags
 * @param[out] out   ph_alloc'ed text, terminated (the 0 is not counted); the caller ph_frees it
 * @return 0 or -ENOMEM
 */
int bc_disassemble(const struct bc_class *class, unsigned flags, struct bc_bytes *out);

#endif /* BC_DISASM_H */
