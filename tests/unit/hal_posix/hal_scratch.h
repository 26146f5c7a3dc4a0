/* SPDX-License-Identifier: Apache-2.0
 *
 * hal_scratch.h - a folder of its own for a test program, and files in it.
 */
#ifndef HAL_SCRATCH_H
#define HAL_SCRATCH_H

/** Make the folder (in TMPDIR, or /tmp). Exits the program when that fails. */
void scratch_create(void);
/** Remove it with all files in it. */
void scratch_remove(void);
/** The path of a file in it; valid until the eighth call after this one. */
const char *scratch_path(const char *name);
/** The folder itself. */
const char *scratch_folder(void);

#endif /* HAL_SCRATCH_H */
