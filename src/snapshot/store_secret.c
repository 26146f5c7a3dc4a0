/* SPDX-License-Identifier: Apache-2.0 - see store_secret.h. No state. */
#include "store_secret.h"

#include "ph_mutant.h"
#include "store_sum.h"

#include <errno.h>
#include <string.h>

#if PH_SODIUM

#include <sodium.h>

enum { DERIVED_BYTES = 32 };

struct store_secret {
    uint8_t host[SNAP_KEY_SIZE];
    uint8_t sum[DERIVED_BYTES];
    uint8_t cipher[DERIVED_BYTES];
    uint8_t uuid[16];
};

/* What every keyed sum begins with. */
struct sum_head {
    uint8_t uuid[16];
    uint64_t kind, index;
};
_Static_assert(sizeof(struct sum_head) == 32, "no padding goes into the sum");
_Static_assert((int)SNAP_KEY_SIZE == (int)crypto_generichash_KEYBYTES, "key of BLAKE2b");
_Static_assert((int)DERIVED_BYTES == (int)crypto_stream_xchacha20_KEYBYTES, "key of XChaCha20");
_Static_assert(crypto_stream_xchacha20_NONCEBYTES == 24, "16 bytes of sum and 8 of place");
_Static_assert(crypto_generichash_BYTES_MIN <= sizeof(struct store_sum), "a sum of 128 bits");

static struct store_secret *new_secret(void)
{
    if (sodium_init() < 0) {
        return NULL;
    }
    return sodium_malloc(sizeof(struct store_secret)); /* locks what it can */
}

/* One derived key: BLAKE2b of a purpose and the UUID, keyed by the host's key. */
static void derive(const struct store_secret *secret, const char *purpose,
                   uint8_t out[DERIVED_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, secret->host, sizeof secret->host, DERIVED_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)purpose, strlen(purpose) + 1);
    crypto_generichash_update(&state, secret->uuid, sizeof secret->uuid);
    crypto_generichash_final(&state, out, DERIVED_BYTES);
    sodium_memzero(&state, sizeof state);
}

int store_secret_make(const struct snap_key *key, const uint8_t uuid[16], struct store_secret **out,
                      struct phantom_diag *diag)
{
    *out = NULL;
    if (key->bytes == NULL || key->size != SNAP_KEY_SIZE) {
        return ph_fail(diag, PHANTOM_EINVALID, "a key has %d bytes, not %zu", (int)SNAP_KEY_SIZE,
                       key->bytes != NULL ? key->size : 0);
    }
    struct store_secret *secret = new_secret();
    if (secret == NULL) {
        return ph_fail(diag, -ENOMEM, "no memory for the keys");
    }
    memcpy(secret->host, key->bytes, sizeof secret->host);
    memcpy(secret->uuid, uuid, sizeof secret->uuid);
    derive(secret, "phantom store 1: sums", secret->sum);
    derive(secret, "phantom store 1: cipher", secret->cipher);
    (void)sodium_mprotect_readonly(secret);
    *out = secret;
    return 0;
}

int store_secret_copy(const struct store_secret *secret, struct store_secret **out)
{
    *out = NULL;
    if (secret == NULL) {
        return 0;
    }
    struct store_secret *copy = new_secret();
    if (copy == NULL) {
        return -ENOMEM;
    }
    *copy = *secret;
    (void)sodium_mprotect_readonly(copy);
    *out = copy;
    return 0;
}

void store_secret_free(struct store_secret *secret)
{
    sodium_free(secret);
}

struct snap_key store_secret_key(const struct store_secret *secret)
{
    return secret != NULL ? (struct snap_key){secret->host, sizeof secret->host}
                          : (struct snap_key){0};
}

struct store_sum store_secret_sum(const struct store_secret *secret, unsigned kind, uint64_t index,
                                  const void *data, size_t size)
{
    struct sum_head head = {.kind = kind, .index = index};
    struct store_sum sum;
    crypto_generichash_state state;
    memcpy(head.uuid, secret->uuid, sizeof head.uuid);
    crypto_generichash_init(&state, secret->sum, sizeof secret->sum, sizeof sum);
    crypto_generichash_update(&state, (const uint8_t *)&head, sizeof head);
    crypto_generichash_update(&state, data, size);
    crypto_generichash_final(&state, (uint8_t *)&sum, sizeof sum);
    if (store_sum_is_zero(sum)) {
        sum.low = 1; /* zero is the sum of a hole */
    }
    return sum;
}

void store_secret_cipher(const struct store_secret *secret, struct store_sum sum, unsigned kind,
                         uint64_t index, void *data, size_t size)
{
    uint8_t nonce[crypto_stream_xchacha20_NONCEBYTES];
    uint64_t place = index ^ (uint64_t)kind << 56;
    if (PH_MUTANT(ENCRYPTION_NONCE_REUSED)) {
        memset(&sum, 0, sizeof sum); /* a nonce for each place, which begins anew each time */
    }
    memcpy(nonce, &sum, sizeof sum);
    memcpy(nonce + sizeof sum, &place, sizeof place);
    crypto_stream_xchacha20_xor(data, data, size, nonce, secret->cipher);
}

bool store_secret_equal(struct store_sum a, struct store_sum b)
{
    return sodium_memcmp(&a, &b, sizeof a) == 0;
}

#else /* without libsodium no secret is ever made, so nothing below make() is reached */

int store_secret_make(const struct snap_key *key, const uint8_t uuid[16], struct store_secret **out,
                      struct phantom_diag *diag)
{
    (void)key;
    (void)uuid;
    *out = NULL;
    return ph_fail(diag, PHANTOM_EUNSUPPORTED,
                   "encryption is not available: this library was built without libsodium");
}

int store_secret_copy(const struct store_secret *secret, struct store_secret **out)
{
    (void)secret;
    *out = NULL;
    return 0;
}

void store_secret_free(struct store_secret *secret)
{
    (void)secret;
}

struct snap_key store_secret_key(const struct store_secret *secret)
{
    (void)secret;
    return (struct snap_key){0};
}

struct store_sum store_secret_sum(const struct store_secret *secret, unsigned kind, uint64_t index,
                                  const void *data, size_t size)
{
    (void)secret;
    (void)kind;
    (void)index;
    (void)data;
    (void)size;
    return (struct store_sum){0};
}

void store_secret_cipher(const struct store_secret *secret, struct store_sum sum, unsigned kind,
                         uint64_t index, void *data, size_t size)
{
    (void)secret;
    (void)sum;
    (void)kind;
    (void)index;
    (void)data;
    (void)size;
}

bool store_secret_equal(struct store_sum a, struct store_sum b)
{
    return store_sum_equal(a, b);
}

#endif
