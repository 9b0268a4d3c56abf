/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one implementation's folds on coordinates that memcheck takes for undefined. A branch or an
 * address that depends on them is then a report, as a branch on uninitialised memory is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "fold.h"

enum { ELEMENTS = 333, MANY = 300 }; /* an odd length: whole blocks and a rest */

extern const placet_fold leaky_branch, leaky_table;

static const placet_fold *find(const char *name) {
    const placet_fold *folds[3];
    const size_t count = placet_folds(folds);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(folds[i]->name, name) == 0) {
            return folds[i];
        }
    }
    return strcmp(name, leaky_branch.name) == 0  ? &leaky_branch
           : strcmp(name, leaky_table.name) == 0 ? &leaky_table
                                                 : NULL;
}

static void *reserve(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory == NULL) {
        exit(3);
    }
    memset(memory, 0, (bytes + 63) / 64 * 64);
    return memory;
}

static placet_tile prepare(size_t clients, placet_encoding encoding) {
    const size_t bytes = ELEMENTS * placet_encoding_bytes(encoding);
    placet_member *members = reserve(clients * sizeof *members);
    for (size_t c = 0; c < clients; c++) {
        uint8_t *plain = reserve(bytes + PLACET_PAD_BYTES);
        VALGRIND_MAKE_MEM_UNDEFINED(plain, bytes);
        members[c].plain = members[c].ahead = plain;
        members[c].multiplier = 1000;
        members[c].weight = 3;
    }
    return (placet_tile){members, clients, encoding, ELEMENTS,
                         reserve(placet_scratch_bytes(clients))};
}

static void select_middle(const placet_fold *fold, size_t clients, placet_encoding encoding) {
    const placet_tile tile = prepare(clients, encoding);
    placet_network network;
    if (placet_network_build(&network, clients, clients / 4, clients - clients / 4) != 0) {
        exit(3);
    }
    fold->select(&tile, &network, reserve(ELEMENTS * sizeof(int64_t)));
}

int main(int count, char **arguments) {
    const placet_fold *fold = count == 2 ? find(arguments[1]) : NULL;
    if (fold == NULL) {
        fprintf(stderr, "usage: harness implementation\n");
        return 2;
    }
    int64_t *sums = reserve(ELEMENTS * sizeof *sums);
    for (int e = PLACET_FLOAT32; e <= PLACET_INT8; e++) {
        const placet_tile tile = prepare(6, (placet_encoding)e);
        fold->add(&tile, false, sums);
        fold->add(&tile, true, sums);
        if (fold->select == NULL) { /* the leaky ones only add */
            continue;
        }
        fold->gram(&tile, reserve(6 * 6 * sizeof(uint64_t)));
        select_middle(fold, 7, (placet_encoding)e);
        select_middle(fold, MANY, (placet_encoding)e); /* counted, not sorted */
    }
    printf("%s ran\n", fold->name);
    return 0;
}
