/* SPDX-License-Identifier: Apache-2.0
 *
 * pvm_method.c - verified methods: the volatile table from code object to what the interpreter
 * needs to run it.
 *
 * Bytecode is verified from the heap, each time a machine meets a code object for the first time,
 * because the heap is trusted no more than a class file when it comes to leaving memory. Entries
 * live until the code object is freed by a collection; workers keep small direct-mapped caches of
 * pointers to them, emptied by every collection.
 *
 * Lock: method_lock protects the table. Verification runs outside of it; two workers may verify the
 * same method, the first to insert wins.
 */
#include "ph_memory.h"
#include "pvm_exec.h"

#include <errno.h>
#include <string.h>

enum {
    FIRST_CAPACITY = 256,
    CHECKED_OBJECTS = 24, /* first cells of a frame whose depths are not known */
    CHECKED_INTS = 24,
    CHECKED_CATCHERS = 4,
    SYS_STUB_BYTES = 3,
    SYS_OPCODE = 0x0F,
};

static uint64_t place_of(const struct pvm *pvm, pvm_object_t code)
{
    uint64_t h = ((uint64_t)(uintptr_t)code / HEAP_CELL) * UINT64_C(0x9E3779B97F4A7C15);
    return (h >> 32) & (pvm->method_capacity - 1);
}

static struct pvm_method *table_find(const struct pvm *pvm, pvm_object_t code)
{
    if (pvm->method_capacity == 0) {
        return NULL;
    }
    for (uint64_t i = place_of(pvm, code);; i = (i + 1) & (pvm->method_capacity - 1)) {
        struct pvm_method *m = pvm->method_table[i];
        if (m == NULL || m->code == code) {
            return m;
        }
    }
}

static void table_put(struct pvm *pvm, struct pvm_method *m)
{
    uint64_t i = place_of(pvm, m->code);
    while (pvm->method_table[i]) {
        i = (i + 1) & (pvm->method_capacity - 1);
    }
    pvm->method_table[i] = m;
}

static int table_reserve(struct pvm *pvm)
{
    if ((pvm->method_count + 1) * 2 <= pvm->method_capacity) {
        return 0;
    }
    uint64_t capacity = pvm->method_capacity ? pvm->method_capacity * 2 : FIRST_CAPACITY;
    struct pvm_method **table = ph_zalloc(capacity, sizeof(*table));
    if (table == NULL) {
        return -ENOMEM;
    }
    struct pvm_method **old = pvm->method_table;
    uint64_t old_capacity = pvm->method_capacity;
    pvm->method_table = table;
    pvm->method_capacity = capacity;
    for (uint64_t i = 0; i < old_capacity; i++) {
        if (old[i]) {
            table_put(pvm, old[i]);
        }
    }
    ph_free(old);
    return 0;
}

static uint32_t used_constants(pvm_object_t class)
{
    pvm_object_t pool = pvm_object_da(class, class)->const_pool;
    return pool ? (uint32_t)pvm_get_array_size(pool) : 0;
}

/** 0 or an error with diag. */
static int verify(pvm_object_t code, struct bc_code_facts *facts, struct phantom_diag *diag)
{
    const struct data_area_4_code *da = pvm_object_da(code, code);
    char class_name[256] = "";
    char method_name[256] = "";
    struct bc_verify_context context = {
        .class_name = class_name,
        .method_name = method_name,
        .ordinal = da->ordinal,
        .argument_count = da->argument_count,
        .allow_sys = da->owner_class == NULL,
    };
    if (da->owner_class) {
        pvm_class_name_text(da->owner_class, class_name, sizeof(class_name));
        pvm_object_t name = pvm_get_method_name(da->owner_class, da->ordinal);
        if (name) {
            pvm_object_text(name, method_name, sizeof(method_name));
        }
        context.constant_limit = used_constants(da->owner_class);
        context.field_limit = pvm_object_da(da->owner_class, class)->object_data_area_size /
                              (uint32_t)sizeof(pvm_object_t);
    }
    return bc_verify_code(&context, da->code, da->code_size, facts, diag);
}

/** A new table entry from the verifier's facts; NULL: worker->thrown is set. */
static struct pvm_method *make_method(struct pvm_worker *worker, pvm_object_t code)
{
    const struct data_area_4_code *da = pvm_object_da(code, code);
    struct bc_code_facts facts = {0};
    struct phantom_diag diag = PHANTOM_DIAG_INIT;
    int rc = verify(code, &facts, &diag);
    if (rc == -ENOMEM) {
        worker->thrown = pvm_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY);
        return NULL;
    }
    const uint32_t limit = UINT32_C(1) << 24;
    if (rc != 0 || facts.max_object_cells > limit || facts.max_int_cells > limit ||
        facts.max_catchers >= UINT16_MAX) {
        pvm_throw_text(worker, "%s", rc != 0 ? diag.text : "method needs too large a frame");
        return NULL;
    }
    struct pvm_method *m = ph_zalloc(1, sizeof(*m));
    if (m == NULL) {
        worker->thrown = pvm_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY);
        return NULL;
    }
    m->code = code;
    m->regular = facts.regular;
    m->argument_count = facts.argument_count;
    m->native = -1;
    if (da->owner_class == NULL && da->code_size == SYS_STUB_BYTES && da->code[0] == SYS_OPCODE) {
        m->native = da->code[1];
    }
    if (m->regular) { /* a cell to spare each: arguments and thrown objects always fit */
        m->object_cap = facts.max_object_cells + 1;
        m->int_cap = facts.max_int_cells + 2;
        m->catch_cap = facts.max_catchers;
    } else {
        m->object_cap = CHECKED_OBJECTS;
        m->int_cap = CHECKED_INTS;
        m->catch_cap = CHECKED_CATCHERS;
    }
    m->frame_bytes = pvm_frame_bytes(m->object_cap, m->int_cap, m->catch_cap);
    return m;
}

const struct pvm_method *pvm_method_slow(struct pvm_worker *worker, pvm_object_t code)
{
    struct pvm *pvm = worker->pvm;
    (void)hal_mutex_lock(&pvm->method_lock);
    struct pvm_method *m = table_find(pvm, code);
    (void)hal_mutex_unlock(&pvm->method_lock);
    if (m == NULL) {
        struct pvm_method *made = make_method(worker, code);
        if (made == NULL) {
            return NULL;
        }
        (void)hal_mutex_lock(&pvm->method_lock);
        m = table_find(pvm, code);
        if (m == NULL && table_reserve(pvm) == 0) {
            m = made;
            made = NULL;
            table_put(pvm, m);
            pvm->method_count++;
        }
        (void)hal_mutex_unlock(&pvm->method_lock);
        ph_free(made);
        if (m == NULL) {
            worker->thrown = pvm_root_slot(PVM_ROOT_OBJECT_OUT_OF_MEMORY);
            return NULL;
        }
    }
    worker->methods[((uintptr_t)code / HEAP_CELL) % PVM_METHOD_CACHE] = m;
    return m;
}

void pvm_methods_forget_freed(struct pvm *pvm)
{
    for (uint32_t i = 0; i < PVM_MAX_WORKERS; i++) {
        struct pvm_worker *worker = pvm->workers[i];
        if (worker) {
            memset(worker->methods, 0, sizeof(worker->methods));
            memset(worker->sites, 0, sizeof(worker->sites));
        }
    }
    /* Rebuild in place: take all out, put the living back (their chains may have had holes). */
    (void)hal_mutex_lock(&pvm->method_lock);
    uint64_t kept = 0;
    struct pvm_method *list = NULL;
    for (uint64_t i = 0; i < pvm->method_capacity; i++) {
        struct pvm_method *m = pvm->method_table[i];
        pvm->method_table[i] = NULL;
        if (m && heap_is_object(pvm->heap, m->code)) {
            m->next = list;
            list = m;
        } else {
            ph_free(m);
        }
    }
    while (list) {
        struct pvm_method *m = list;
        list = m->next;
        table_put(pvm, m);
        kept++;
    }
    pvm->method_count = kept;
    (void)hal_mutex_unlock(&pvm->method_lock);
}

void pvm_methods_finish(struct pvm *pvm)
{
    for (uint64_t i = 0; i < pvm->method_capacity; i++) {
        ph_free(pvm->method_table[i]);
    }
    ph_free(pvm->method_table);
    pvm->method_table = NULL;
    pvm->method_capacity = 0;
    pvm->method_count = 0;
}
