/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_amap.c - changes and questions to an interval map, each beside a plain array that says what
 * the answer must be. Input: u64 start, u8 size, then (u8 what, u8 from, u8 count, u8 flags)...
 */
#include "fuzz_port.h"

#include <errno.h>
#include <kernel/amap.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model {
    uint64_t start;
    unsigned size; /* that the map can have */
    u_int32_t flags[256];
    uint64_t at; /* of an iteration: the next number */
    u_int32_t before;
    bool any;
};

static bool inside(const struct model *model, unsigned from, unsigned count)
{
    return from <= model->size && count <= model->size - from;
}

static void compare(amap_elem_addr_t from, amap_elem_size_t count, u_int32_t flags, void *context)
{
    struct model *model = context;
    FUZZ_FACT(count > 0);
    FUZZ_FACT(from - model->start == model->at); /* no gap, no overlap */
    FUZZ_FACT(!model->any || flags != model->before);
    for (uint64_t i = 0; i < count; i++) {
        FUZZ_FACT(model->at < model->size && model->flags[model->at] == flags);
        model->at++;
    }
    model->before = flags;
    model->any = true;
}

static void count_flags(amap_elem_addr_t from, amap_elem_size_t count, u_int32_t flags,
                        void *context)
{
    (void)from;
    (void)flags;
    *(uint64_t *)context += count;
}

static void one_step(amap_t *map, struct model *model, struct fuzz_bytes *bytes)
{
    uint8_t what = fuzz_u8(bytes);
    unsigned from = fuzz_u8(bytes), count = fuzz_u8(bytes);
    u_int32_t flags = fuzz_u8(bytes) % 5;
    bool equal = true, good = inside(model, from, count);
    for (unsigned i = from; good && i < from + count; i++) {
        equal = equal && model->flags[i] == flags;
    }
    uint64_t number = 0, wanted = 0;
    int modified = 2;
    if (what % 4 == 3) {
        amap_iterate_flags(map, count_flags, &number, flags);
        for (unsigned i = 0; i < model->size; i++) {
            wanted += model->flags[i] == flags;
        }
        FUZZ_FACT(number == wanted);
        return;
    }
    errno_t rc = what % 4 == 0 ? amap_modify(map, model->start + from, count, flags)
                 : what % 4 == 1
                     ? amap_check_modify(map, model->start + from, count, flags, &modified)
                     : amap_check(map, model->start + from, count, flags);
    FUZZ_FACT(count == 0 || good || rc == EINVAL); /* nothing is nowhere */
    FUZZ_FACT(!good || count == 0 || rc == (what % 4 == 2 && !equal ? ENOENT : 0));
    FUZZ_FACT(!good || count == 0 || what % 4 != 1 || modified == !equal);
    if (what % 4 == 2) {
        return;
    }
    for (unsigned i = from; good && i < from + count; i++) {
        model->flags[i] = flags;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes bytes = {data, size};
    struct model model = {.start = fuzz_u64(&bytes)};
    unsigned asked = fuzz_u8(&bytes);
    uint64_t room = UINT64_MAX - model.start; /* 2^64 - 1 itself is in no map */
    model.size = asked < room ? asked : (unsigned)room;
    amap_t map;
    amap_init(&map, model.start, asked, 0);
    while (bytes.size > 0) {
        one_step(&map, &model, &bytes);
        model.at = 0;
        model.any = false;
        amap_iterate_all(&map, compare, &model);
        FUZZ_FACT(model.at == model.size);
    }
    amap_destroy(&map);
    return 0;
}
