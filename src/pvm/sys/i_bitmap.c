/* SPDX-License-Identifier: Apache-2.0
 *
 * i_bitmap.c - .internal.bitmap: pixels of four bytes (B, G, R, A), read from the text of a binary
 * PPM file (P6). There is no display yet, so painting does nothing, as in the port.
 */
#include "pvm_stores.h"

enum { MAX_SIDE = 32768, MAX_PIXELS = 64 << 20 };

/** What is left of a PPM text. */
struct ppm {
    const uint8_t *at, *end;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/** A decimal number after white space and comments; -1 if there is none or it is above `limit`. */
static int32_t ppm_number(struct ppm *ppm, int32_t limit)
{
    while (ppm->at < ppm->end && (is_space(*ppm->at) || *ppm->at == '#')) {
        if (*ppm->at == '#') {
            while (ppm->at < ppm->end && *ppm->at != '\n') {
                ppm->at++;
            }
        } else {
            ppm->at++;
        }
    }
    int32_t value = -1;
    while (ppm->at < ppm->end && *ppm->at >= '0' && *ppm->at <= '9') {
        value = (value < 0 ? 0 : value * 10) + (*ppm->at++ - '0');
        if (value > limit) {
            return -1;
        }
    }
    return value;
}

/** Header of a P6 file; false if it is none or is cut short. */
static bool ppm_header(struct ppm *ppm, int32_t *xsize, int32_t *ysize)
{
    if (ppm->end - ppm->at < 2 || ppm->at[0] != 'P' || ppm->at[1] != '6') {
        return false;
    }
    ppm->at += 2;
    *xsize = ppm_number(ppm, MAX_SIDE);
    *ysize = ppm_number(ppm, MAX_SIDE);
    int32_t depth = ppm_number(ppm, 255);
    if (*xsize <= 0 || *ysize <= 0 || depth != 255 || ppm->at == ppm->end || !is_space(*ppm->at)) {
        return false;
    }
    ppm->at++;
    int64_t pixels = (int64_t)*xsize * *ysize;
    return pixels <= MAX_PIXELS && ppm->end - ppm->at >= pixels * 3;
}

static PVM_NATIVE(si_bitmap_5_tostring)
{
    SYSCALL_RETURN_STRING("(bitmap)");
}

static PVM_NATIVE(si_bitmap_8_fromstring)
{
    CHECK_PARAM_COUNT(1);
    ASSERT_STRING(args[0]);
    struct ppm ppm = {(const uint8_t *)pvm_get_str_data(args[0]), NULL};
    ppm.end = ppm.at + pvm_get_str_len(args[0]);
    int32_t xsize, ysize;
    if (!ppm_header(&ppm, &xsize, &ysize)) {
        SYSCALL_THROW_STRING("can not parse graphics data");
    }
    pvm_object_t image = pvm_create_binary_object(xsize * ysize * 4, NULL);
    if (image == NULL) {
        SYSCALL_RETURN_NOTHING;
    }
    uint8_t *pixel = pvm_object_da(image, binary)->data;
    pvm_before(pvm_current(), image->da, image->_da_size);
    for (int32_t i = 0; i < xsize * ysize; i++, pixel += 4, ppm.at += 3) {
        pixel[0] = ppm.at[2];
        pixel[1] = ppm.at[1];
        pixel[2] = ppm.at[0];
        pixel[3] = 0xFF;
    }
    pvm_after(pvm_current(), image->da, image->_da_size);
    struct data_area_4_bitmap *da = pvm_object_da(me, bitmap);
    pvm_lock_object(me);
    PVM_BEFORE(pvm_current(), da);
    PVM_STORE(&da->xsize, xsize);
    PVM_STORE(&da->ysize, ysize);
    heap_store_ref(&da->image, image);
    PVM_AFTER(pvm_current(), da);
    pvm_unlock_object(me);
    SYSCALL_RETURN_NOTHING;
}

static PVM_NATIVE(si_bitmap_9_paintto)
{
    SYSCALL_RETURN_NOTHING;
}

void pvm_gc_iter_bitmap(gc_iterator_call_t func, pvm_object_t os, void *arg)
{
    func(heap_load_ref(&pvm_object_da(os, bitmap)->image), arg);
}

const syscall_func_t syscall_table_4_bitmap[] = {
    si_void_0_construct,    si_void_1_destruct,   si_void_2_class, si_void_3_clone,
    si_void_4_equals,       si_bitmap_5_tostring, si_void_6_toXML, si_void_7_fromXML,
    si_bitmap_8_fromstring, si_bitmap_9_paintto,  invalid_syscall, invalid_syscall,
    invalid_syscall,        invalid_syscall,      invalid_syscall, si_void_15_hashcode,
};
DECLARE_SIZE(bitmap);
