/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_faults.h - between the two halves of test_port_disk_faults: what runs on the machine and
 * knows the port's headers (disk_faults.c), and what runs machines (test_port_disk_faults.c).
 */
#ifndef DISK_FAULTS_H
#define DISK_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAULTS_PAGES = 16, FAULTS_BYTES = FAULTS_PAGES * 4096 };
#define FAULTS_FILE "port_disk_faults"

/** One life of a machine; set before it begins. */
struct faults_plan {
    uint64_t seed;
    unsigned short_permille; /* transfers that move a part only */
    uint64_t shut_down_at;   /* so many-th flush; 0: none */
    bool writes_may_fail;    /* then a request that was not told yet may have failed */
};

struct faults_totals {
    uint64_t requests, failed, dequeued, raised, reads, trims, fences, failed_fences;
    uint64_t fenced, open; /* writes that a fence covers when the life ends, and those that none */
};

/** The disk begins this life with that content. */
void faults_begin(const struct faults_plan *plan, const uint8_t *content);
/** The program of the machine. */
void faults_life(void *ignored);
/** Is what a crash left possible? Else a sentence. */
bool faults_check(const uint8_t *content, bool power_cut, char *why, size_t size);
void faults_count(struct faults_totals *totals);

#endif /* DISK_FAULTS_H */
