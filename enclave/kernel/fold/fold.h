/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folding clients' updates: decoding, quantising, and what the rules make of the integers.
 *
 * Quantisation, the same for every rule and every implementation: a coordinate x, decoded to
 * float32, becomes q = trunc(clamp(x * m, -LIMIT, LIMIT)), where m is the client's multiplier and
 * the product is one float32 multiplication rounded to nearest. NaN and infinity become 0 and mark
 * the client.
 *
 * No branch and no address in a fold depends on a client's data. Sums are modulo 2^64, so the order
 * does not matter.
 */
#ifndef PLACET_FOLD_H
#define PLACET_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network.h"

#define PLACET_LIMIT (1 << 26)      /* the largest |q|; its square is 2^52 */
#define PLACET_MAX_CLIENTS 4096     /* so a sum of q over the clients stays below 2^38 */
#define PLACET_GROUP 16             /* clients a call of add takes: 16 * 2^26 fits an int32 */
#define PLACET_PAD_BYTES                                                                           \
    2048 /* zeros after a segment's plaintext; no implementation reads further */
#define PLACET_SCRATCH_BYTES ((size_t)256 * 1024) /* for rows of integers: stays in L2 */

typedef __uint128_t placet_u128;

typedef enum { PLACET_FLOAT32, PLACET_FLOAT16, PLACET_BFLOAT16, PLACET_INT8 } placet_encoding;

/* Bytes of one coordinate. */
static inline size_t placet_encoding_bytes(placet_encoding encoding) {
    return encoding == PLACET_FLOAT32 ? 4 : encoding == PLACET_INT8 ? 1 : 2;
}

/* One client: what a fold reads, and what it leaves behind. The lanes are empty between calls. */
typedef struct {
    _Alignas(64) uint64_t square_lanes[8];
    _Alignas(64) uint32_t nonfinite_lanes[16];
    /* As many bytes that will be read next, to be fetched into the cache meanwhile. */
    const uint8_t *ahead;
    /* One segment's coordinates, aligned to 64, with PLACET_PAD_BYTES of zeros behind. */
    const uint8_t *plain;
    float multiplier;        /* finite, >= 0 */
    int32_t weight;          /* >= 1 */
    placet_u128 squares;     /* the sum of q^2 so far */
    uint32_t nonfinite;      /* not 0: a coordinate was NaN or infinite */
} placet_member;

/* A range of one segment's coordinates of some clients. */
typedef struct {
    placet_member *members;
    size_t count;
    placet_encoding encoding;
    size_t elements;         /* coordinates of each client, at least 1 */
    int32_t *scratch;        /* aligned to 64: placet_scratch_bytes(); not used by add */
} placet_tile;

/* One implementation. All give the same integers. */
typedef struct {
    const char *name;
    /* sums[j] += weight * q over the clients, at most PLACET_GROUP of them; `weighted` false: every
     * weight is 1. */
    void (*add)(const placet_tile *tile, bool weighted, int64_t *sums);
    /* sums[j] = the sum of the order statistics that the network leaves at low .. high-1. */
    void (*select)(const placet_tile *tile, const placet_network *network, int64_t *sums);
    /* products[a * count + b] += sum over j of q_a q_b, modulo 2^64, for all a and b. */
    void (*gram)(const placet_tile *tile, uint64_t *products);
} placet_fold;

/* The scratch that select and gram need for so many clients. */
static inline size_t placet_scratch_bytes(size_t clients) {
    const size_t rows = (clients + 3) / 4 * 4; /* gram works in squares of at most 4 by 4 clients */
    const size_t least = rows * 64;            /* one vector each */
    return least > PLACET_SCRATCH_BYTES ? least : PLACET_SCRATCH_BYTES;
}

/* The implementations that this machine can run, best last: choose.c. */
size_t placet_folds(const placet_fold *folds[3]);

extern const placet_fold placet_fold_portable;
#if defined(__x86_64__)
extern const placet_fold placet_fold_avx2;
extern const placet_fold placet_fold_avx512;
#endif

#endif
