/* SPDX-License-Identifier: Apache-2.0 */
/* Two folds that leak, to show that the check sees it. They add a byte of each client, and nothing
 * else. */
#include "fold.h"

static __attribute__((noinline)) void count_one(int64_t *sum) {
    *sum += 1;
    __asm__ volatile("" ::: "memory"); /* so that the call stays a call */
}

/* Branches on data, around a call: the compiler cannot make a conditional move of it. */
static void add_by_branch(const placet_tile *tile, bool weighted, int64_t *sums) {
    (void)weighted;
    for (size_t c = 0; c < tile->count; c++) {
        if (tile->members[c].plain[0] > 127) {
            count_one(&sums[0]);
        }
    }
}

/* Looks data up in a table. */
static void add_by_table(const placet_tile *tile, bool weighted, int64_t *sums) {
    static const int8_t table[256] = {1, 2, 3};
    (void)weighted;
    for (size_t c = 0; c < tile->count; c++) {
        sums[0] += table[tile->members[c].plain[0]];
    }
}

const placet_fold leaky_branch = {.name = "leaky-branch", .add = add_by_branch};
const placet_fold leaky_table = {.name = "leaky-table", .add = add_by_table};
