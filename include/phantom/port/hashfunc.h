/* SPDX-License-Identifier: Apache-2.0
 *
 * hashfunc.h - the hash of strings that the port's directories use. Stability: kept from the Genode
 * port; results never change.
 */
#ifndef PHANTOM_PORT_HASHFUNC_H
#define PHANTOM_PORT_HASHFUNC_H

/** The 32-bit PJW hash of the bytes from datum up to datum_end; NULL: up to the NUL. Reads only,
 *  never blocks. @threads any */
unsigned int calc_hash(const char *datum, const char *datum_end);

#endif /* PHANTOM_PORT_HASHFUNC_H */
