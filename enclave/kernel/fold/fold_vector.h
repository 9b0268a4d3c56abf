/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folds over vectors, written once. An implementation includes this file after it has defined
 *
 *   TARGET, NAME, SELF               its attribute, its name as text, its placet_fold's name
 *   LANES, BLOCK, SQUARE             int32 lanes of a vector; vectors of a block (registers);
 *                                    clients of a Gram square
 *   lanes_f, lanes_i, lanes_q        a vector of float32, of int32, of 64-bit sums (any lanes)
 *   lanes_w, lanes_b                 64-bit sums that keep the lanes apart; NaN and infinity seen
 *   f_load(encoding, address)        LANES coordinates
 *   f_all(x), i_all(x)               x in all lanes
 *   i_quantise(x, m, &seen)          the quantisation of fold.h
 *   i_zero() i_load(p) i_store(p, x) i_add i_sub i_min i_max
 *   i_half(x), i_negative(x)         x / 2 rounded down; all bits where x < 0, else none
 *   i_pick(mask, a, b)               a where the mask has all bits, b where it has none
 *   i_sum_into(sums, x)              sums[lane] += x
 *   q_zero() q_load(p) q_store(p, x) q_total(x)
 *   q_dot(acc, a, b)                 acc plus the products of the lanes of a and b
 *   w_zero() w_dot(acc, a, b)        likewise lane by lane; w_sum_into(sums, x)
 *   b_load(p) b_store(p, x)
 *   b_any(p)                         not 0 where something was seen
 *
 * The loops run over whole blocks; plaintext is padded with zeros, and a zero adds nothing
 * anywhere. The last block's sums pass through a copy.
 */
#include <string.h>

#include "fold.h"

#define INLINE TARGET static inline __attribute__((always_inline))
#define STEP ((size_t)LANES * BLOCK)
/* A 64-bit lane of squares takes two of at most 2^52 from each vector, so 1024 vectors reach 2^63.
 * */
#define FLUSH_VECTORS ((size_t)1024)
#define NETWORK_BYTES                                                                              \
    ((size_t)16384) /* rows of integers that a network works on: they stay in L1 */
#define GRAM_WIDTH 512                /* coordinates a row of the Gram blocks, where they fit */
#define ADD_ROWS 16 /* rows of |q| <= 2^26 whose sum fits an int32 */

_Static_assert(STEP * 4 <= PLACET_PAD_BYTES, "a block must end within the padding");
_Static_assert(GRAM_WIDTH * 4 <= PLACET_PAD_BYTES, "a row must end within the padding");
_Static_assert(PLACET_GROUP <= ADD_ROWS, "a group's sum must fit an int32");

TARGET static void flush(const placet_tile *tile) {
    for (size_t c = 0; c < tile->count; c++) {
        placet_member *member = &tile->members[c];
        for (size_t lane = 0; lane < 8; lane++) {
            member->squares += member->square_lanes[lane];
            member->square_lanes[lane] = 0;
        }
        member->nonfinite |= b_any(member->nonfinite_lanes);
        memset(member->nonfinite_lanes, 0, sizeof member->nonfinite_lanes);
    }
}

/* Memory waits less for the processor if the next segments arrive while these are folded. */
INLINE void fetch(const uint8_t *from, size_t bytes) {
#pragma GCC unroll 8
    for (size_t i = 0; i < bytes; i += 64) {
        __builtin_prefetch(from + i, 0, 2);
    }
}

/* Adds a block of every client to sums. */
INLINE void add_block(const placet_tile *tile, placet_encoding encoding, bool weighted, size_t at,
                      int64_t *sums) {
    lanes_i totals[BLOCK];
    lanes_w wide[BLOCK];
#pragma GCC unroll 8
    for (int b = 0; b < BLOCK; b++) {
        totals[b] = i_zero();
        wide[b] = w_zero();
    }
    for (size_t c = 0; c < tile->count; c++) {
        placet_member *member = &tile->members[c];
        const uint8_t *x = member->plain + at * placet_encoding_bytes(encoding);
        const lanes_f multiplier = f_all(member->multiplier);
        const lanes_i weight = i_all(member->weight);
        lanes_q squares = q_load(member->square_lanes);
        lanes_b seen = b_load(member->nonfinite_lanes);
        fetch(member->ahead + at * placet_encoding_bytes(encoding),
              STEP * placet_encoding_bytes(encoding));
#pragma GCC unroll 8
        for (int b = 0; b < BLOCK; b++) {
            const lanes_i q =
                i_quantise(f_load(encoding, x + b * LANES * placet_encoding_bytes(encoding)),
                           multiplier, &seen);
            squares = q_dot(squares, q, q);
            if (weighted) {
                wide[b] = w_dot(wide[b], q, weight);
            } else {
                totals[b] = i_add(totals[b], q);
            }
        }
        q_store(member->square_lanes, squares);
        b_store(member->nonfinite_lanes, seen);
    }
#pragma GCC unroll 8
    for (int b = 0; b < BLOCK; b++) {
        if (weighted) {
            w_sum_into(sums + b * LANES, wide[b]);
        } else {
            i_sum_into(sums + b * LANES, totals[b]);
        }
    }
}

INLINE void add_blocks(const placet_tile *tile, placet_encoding encoding, bool weighted,
                       int64_t *sums) {
    size_t vectors = 0;
    size_t at = 0;
    for (; at + STEP <= tile->elements; at += STEP) {
        add_block(tile, encoding, weighted, at, sums + at);
        vectors += BLOCK;
        if (vectors + BLOCK > FLUSH_VECTORS) {
            flush(tile);
            vectors = 0;
        }
    }
    if (at < tile->elements) {
        int64_t last[STEP] = {0};
        const size_t bytes = (tile->elements - at) * sizeof *sums;
        memcpy(last, sums + at, bytes);
        add_block(tile, encoding, weighted, at, last);
        memcpy(sums + at, last, bytes);
    }
    flush(tile);
}

/* One copy of the loop for each encoding, so that none is asked for within it. */
#define FOR_EACH_ENCODING(encoding, call)                  \
    switch (encoding) {                                    \
    case PLACET_FLOAT32: call(PLACET_FLOAT32); break;      \
    case PLACET_FLOAT16: call(PLACET_FLOAT16); break;      \
    case PLACET_BFLOAT16: call(PLACET_BFLOAT16); break;    \
    case PLACET_INT8: call(PLACET_INT8); break;            \
    }

TARGET static void add(const placet_tile *tile, bool weighted, int64_t *sums) {
#define ADD_WEIGHTED(encoding) add_blocks(tile, encoding, true, sums)
#define ADD_PLAIN(encoding) add_blocks(tile, encoding, false, sums)
    if (weighted) {
        FOR_EACH_ENCODING(tile->encoding, ADD_WEIGHTED)
    } else {
        FOR_EACH_ENCODING(tile->encoding, ADD_PLAIN)
    }
}

/* The integers of every client, `vectors` of them from `at` on, as rows of scratch. */
INLINE void quantise_rows_of(const placet_tile *tile, placet_encoding encoding, size_t at,
                             size_t vectors) {
    for (size_t c = 0; c < tile->count; c++) {
        placet_member *member = &tile->members[c];
        const uint8_t *x = member->plain + at * placet_encoding_bytes(encoding);
        const lanes_f multiplier = f_all(member->multiplier);
        int32_t *row = tile->scratch + c * vectors * LANES;
        lanes_q squares = q_load(member->square_lanes);
        lanes_b seen = b_load(member->nonfinite_lanes);
        fetch(member->ahead + at * placet_encoding_bytes(encoding),
              vectors * LANES * placet_encoding_bytes(encoding));
        for (size_t v = 0; v < vectors; v++) {
            const lanes_i q =
                i_quantise(f_load(encoding, x + v * LANES * placet_encoding_bytes(encoding)),
                           multiplier, &seen);
            squares = q_dot(squares, q, q);
            i_store(row + v * LANES, q);
        }
        q_store(member->square_lanes, squares);
        b_store(member->nonfinite_lanes, seen);
    }
}

TARGET static void quantise_rows(const placet_tile *tile, size_t at, size_t vectors) {
#define QUANTISE(encoding) quantise_rows_of(tile, encoding, at, vectors)
    FOR_EACH_ENCODING(tile->encoding, QUANTISE)
}

/* How many vectors of `rows` rows fit into so many bytes: at least 1, at most `most`. */
static inline size_t vectors_within(size_t bytes, size_t rows, size_t most) {
    const size_t fit = bytes / (rows * LANES * sizeof(int32_t));
    return fit < 1 ? 1 : fit > most ? most : fit;
}

INLINE void compare_rows(int32_t *upper, int32_t *lower, uint8_t keep, size_t vectors) {
#pragma GCC unroll 8
    for (size_t v = 0; v < vectors; v++) {
        const lanes_i a = i_load(upper + v * LANES), b = i_load(lower + v * LANES);
        if (keep & PLACET_KEEP_UPPER) {
            i_store(upper + v * LANES, i_min(a, b));
        }
        if (keep & PLACET_KEEP_LOWER) {
            i_store(lower + v * LANES, i_max(a, b));
        }
    }
}

INLINE void run_comparators(const placet_network *network, int32_t *scratch, size_t vectors) {
    for (size_t i = 0; i < network->length; i++) {
        const placet_comparator comparator = network->comparators[i];
        int32_t *upper = scratch + comparator.upper * vectors * LANES;
        int32_t *lower = scratch + comparator.lower * vectors * LANES;
        switch (comparator.keep) {
        case PLACET_KEEP_BOTH: compare_rows(upper, lower, PLACET_KEEP_BOTH, vectors); break;
        case PLACET_KEEP_UPPER: compare_rows(upper, lower, PLACET_KEEP_UPPER, vectors); break;
        default: compare_rows(upper, lower, PLACET_KEEP_LOWER, vectors); break;
        }
    }
}

TARGET static void run_network(const placet_network *network, int32_t *scratch, size_t vectors) {
    if (vectors == BLOCK) {
        run_comparators(network, scratch, BLOCK);
    } else {
        run_comparators(network, scratch, vectors);
    }
}

TARGET static void sum_rows(const int32_t *scratch, size_t low, size_t high, size_t vectors,
                            int64_t *sums) {
    const size_t width = vectors * LANES;
    for (size_t v = 0; v < width; v += LANES) {
        for (size_t first = low; first < high; first += ADD_ROWS) {
            lanes_i total = i_zero();
            for (size_t row = first; row < high && row < first + ADD_ROWS; row++) {
                total = i_add(total, i_load(scratch + row * width + v));
            }
            i_sum_into(sums + v, total);
        }
    }
}

/*
 * The k-th smallest of `count` rows of one vector, lane by lane, 1 <= k <= count, by bisection on
 * the value: the smallest v for which at least k rows are <= v. 2^27 + 1 values need 28 steps; a
 * step too many changes nothing.
 */
INLINE lanes_i kth_smallest(const int32_t *scratch, size_t count, size_t k) {
    lanes_i low = i_all(-PLACET_LIMIT), high = i_all(PLACET_LIMIT);
    for (int step = 0; step < 28; step++) {
        const lanes_i middle =
            i_half(i_add(low, high));       /* rounded down, so the range always shrinks */
        lanes_i needed = i_all((int32_t)k); /* becomes k and the number of rows above the middle */
        for (size_t row = 0; row < count; row++) {
            needed = i_sub(
                needed,
                i_negative(i_sub(middle, i_load(scratch + row * LANES)))); /* all bits are -1 */
        }
        const lanes_i too_few = i_negative(i_sub(i_all((int32_t)count), needed));
        const lanes_i above = i_sub(middle, i_all(-1));
        low = i_pick(too_few, above, low);
        high = i_pick(too_few, high, middle);
    }
    return high;
}

/*
 * With v_k the k-th smallest of n, the k smallest sum up to  sum min(q, v_k) - (n - k) v_k;  for k
 * = 0 take v = -LIMIT. The statistics low .. high-1 are the difference of two such sums.
 */
TARGET static void sum_counted(const int32_t *scratch, size_t count, size_t low, size_t high,
                               int64_t *sums) {
    const lanes_i below = low == 0 ? i_all(-PLACET_LIMIT) : kth_smallest(scratch, count, low);
    const lanes_i within = kth_smallest(scratch, count, high);
    lanes_w total = w_zero();
    const lanes_i one = i_all(1);
    for (size_t row = 0; row < count; row++) {
        const lanes_i q = i_load(scratch + row * LANES);
        total = w_dot(total, i_sub(i_min(q, within), i_min(q, below)), one);
    }
    total = w_dot(total, within, i_all(-(int32_t)(count - high)));
    total = w_dot(total, below, i_all((int32_t)(count - low)));
    w_sum_into(sums, total);
}

TARGET static void select_sums(const placet_tile *tile, const placet_network *network,
                               int64_t *sums) {
    const bool counted = tile->count > PLACET_NETWORK_WIRES;
    const size_t vectors = counted ? 1 : vectors_within(NETWORK_BYTES, tile->count, BLOCK);
    const size_t width = vectors * LANES;
    size_t since_flush = 0;
    for (size_t at = 0; at < tile->elements; at += width) {
        int64_t part[STEP] = {0};
        quantise_rows(tile, at, vectors);
        if (counted) {
            sum_counted(tile->scratch, tile->count, network->low, network->high, part);
        } else {
            run_network(network, tile->scratch, vectors);
            sum_rows(tile->scratch, network->low, network->high, vectors, part);
        }
        const size_t left = tile->elements - at;
        memcpy(sums + at, part, (left < width ? left : width) * sizeof *sums);
        since_flush += vectors;
        if (since_flush + vectors > FLUSH_VECTORS) {
            flush(tile);
            since_flush = 0;
        }
    }
    flush(tile);
}

/* products of the clients a .. a+SQUARE-1 with b .. b+SQUARE-1, a <= b; both triangles are written.
 * */
INLINE void gram_square(const placet_tile *tile, size_t vectors, size_t a, size_t b,
                        uint64_t *products) {
    const size_t width = vectors * LANES;
    lanes_q totals[SQUARE][SQUARE];
#pragma GCC unroll 4
    for (int i = 0; i < SQUARE; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < SQUARE; j++) {
            totals[i][j] = q_zero();
        }
    }
    for (size_t v = 0; v < width; v += LANES) {
#pragma GCC unroll 4
        for (int i = 0; i < SQUARE; i++) {
            const lanes_i left = i_load(tile->scratch + (a + (size_t)i) * width + v);
#pragma GCC unroll 4
            for (int j = 0; j < SQUARE; j++) {
                totals[i][j] =
                    q_dot(totals[i][j], left, i_load(tile->scratch + (b + (size_t)j) * width + v));
            }
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < SQUARE; i++) {
#pragma GCC unroll 4
        for (size_t j = 0; j < SQUARE; j++) {
            const size_t row = a + i, column = b + j;
            if (row <= column && column < tile->count) {
                const uint64_t total = q_total(totals[i][j]);
                products[row * tile->count + column] += total;
                if (row != column) {
                    products[column * tile->count + row] += total;
                }
            }
        }
    }
}

TARGET static void gram(const placet_tile *tile, uint64_t *products) {
    const size_t rows = (tile->count + SQUARE - 1) / SQUARE * SQUARE;
    const size_t vectors = vectors_within(PLACET_SCRATCH_BYTES, rows, GRAM_WIDTH / LANES);
    const size_t width = vectors * LANES;
    memset(tile->scratch + tile->count * width, 0,
           (rows - tile->count) * width * sizeof *tile->scratch);
    for (size_t at = 0; at < tile->elements; at += width) {
        quantise_rows(tile, at, vectors);
        flush(tile);
        for (size_t a = 0; a < rows; a += SQUARE) {
            for (size_t b = a; b < rows; b += SQUARE) {
                gram_square(tile, vectors, a, b, products);
            }
        }
    }
}

const placet_fold SELF = {.name = NAME, .add = add, .select = select_sums, .gram = gram};
