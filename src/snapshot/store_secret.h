/* SPDX-License-Identifier: Apache-2.0
 *
 * store_secret.h - the keys of an encrypted store, and the only door to libsodium.
 *
 * From the host's key and the store's UUID two keys are derived: one for sums (BLAKE2b, keyed, 128
 * bits), one for the cipher (XChaCha20). Encryption is deterministic and authenticated: the nonce
 * of a block is its sum, which depends on every byte of the block, on what it is and where it
 * belongs, and on the key. So one nonce never meets two contents, whatever was rolled back, done
 * again after a crash, or copied; no counter has to survive anything (SIV).
 *
 * The keys lie in memory of their own that is locked if the system allows it, is left out of core
 * dumps, and is wiped when it is freed. Immutable after store_secret_make(): any thread.
 */
#ifndef SNAP_STORE_SECRET_H
#define SNAP_STORE_SECRET_H

#include "ph_error.h"
#include "snap_store.h"
#include "store_format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_secret;

/**
 * Derive the keys of a store.
 * @return 0; PHANTOM_EINVALID (the key has not SNAP_KEY_SIZE bytes); PHANTOM_EUNSUPPORTED (this
 *         build has no libsodium); -ENOMEM
 */
int store_secret_make(const struct snap_key *key, const uint8_t uuid[16], struct store_secret **out,
                      struct phantom_diag *diag);
/** A second one with the same keys; NULL of NULL. 0 or -ENOMEM. */
int store_secret_copy(const struct store_secret *secret, struct store_secret **out);
/** Wipe and free; NULL allowed. */
void store_secret_free(struct store_secret *secret);
/** The host's key again, for a store made from this one; lives as long as `secret`. NULL: no key.
 */
struct snap_key store_secret_key(const struct store_secret *secret);

/** Keyed sum. `kind` and `index` as in store_sum.h; never zero. */
struct store_sum store_secret_sum(const struct store_secret *secret, unsigned kind, uint64_t index,
                                  const void *data, size_t size);
/** Encrypt or decrypt in place what has the sum `sum`. */
void store_secret_cipher(const struct store_secret *secret, struct store_sum sum, unsigned kind,
                         uint64_t index, void *data, size_t size);
/** In a time that does not depend on where they differ. */
bool store_secret_equal(struct store_sum a, struct store_sum b);

#endif /* SNAP_STORE_SECRET_H */
