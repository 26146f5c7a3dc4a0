/* SPDX-License-Identifier: Apache-2.0
 *
 * phantom.h - libphantom: programs that do not end with their process.
 *
 * Stability: version 0.x; names may still change between minor versions, the soname is 0.
 *
 * Guarantees
 *   - After any crash (kill -9, power cut) a world is exactly one committed generation, never older
 *     than the last one acknowledged by phantom_snapshot() or the `committed` callback.
 *   - Damage to a store is detected by checksums and reported; it is never guessed over.
 *   - The library never aborts for bad input, I/O errors or lack of resources, prints nothing, and
 *     keeps no global state except a log sink.
 *
 * Caveats
 *   - What a world has printed since its recovered generation is printed again after a restart
 *     (at-least-once). Use the generation numbers to tell.
 *   - A world belongs to the process that opened it. After fork() the child must not use it: calls
 *     there return PHANTOM_EFORKED.
 *   - The heap lives at a fixed address that was chosen at the birth of the store. If something
 * else is mapped there, phantom_open() fails with PHANTOM_EADDRESS and names it.
 *   - Linux on x86-64 with 4 KiB pages only.
 */
#ifndef PHANTOM_PHANTOM_H
#define PHANTOM_PHANTOM_H

#include <phantom/error.h>
#include <phantom/runtime.h>
#include <phantom/snapshot.h>
#include <phantom/space.h>

#define PHANTOM_VERSION_MAJOR 0
#define PHANTOM_VERSION_MINOR 1
#define PHANTOM_VERSION_PATCH 0

#endif /* PHANTOM_PHANTOM_H */
