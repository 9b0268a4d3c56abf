/* SPDX-License-Identifier: Apache-2.0 */
/* Opens segments into buffers that stay in the processor's cache, and folds them there. */
#define _DEFAULT_SOURCE
#include "walk.h"

#include <fenv.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT ((size_t)64)
#define CACHE_BYTES                                                                                \
    ((size_t)256 * 1024) /* a group's open segments; as much again is fetched for the next */
#define LEAST_GROUP 4                    /* the sums are read and written once a group */

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Where the plaintext of a segment begins, as if segment 0 had 40 bytes of it in the place of the
 * header. */
static uint64_t plain_offset(const placet_cohort *cohort, uint64_t segment) {
    return segment * (cohort->segment_bytes - PLACET_TAG_BYTES);
}

static uint64_t plain_end(const placet_cohort *cohort, uint64_t segment) {
    const uint64_t length =
        PLACET_HEADER_BYTES + cohort->elements * placet_encoding_bytes(cohort->encoding);
    return smaller(plain_offset(cohort, segment + 1), length);
}

uint64_t placet_segments(uint64_t elements, placet_encoding encoding, size_t segment_bytes) {
    const uint64_t capacity = segment_bytes - PLACET_TAG_BYTES;
    return (PLACET_HEADER_BYTES + elements * placet_encoding_bytes(encoding) + capacity - 1) /
           capacity;
}

uint64_t placet_first_element(const placet_cohort *cohort, uint64_t segment) {
    if (segment == 0) {
        return 0;
    }
    const uint64_t element = (plain_offset(cohort, segment) - PLACET_HEADER_BYTES) /
                             placet_encoding_bytes(cohort->encoding);
    return smaller(element, cohort->elements);
}

uint64_t placet_window_bytes(const placet_cohort *cohort, uint64_t first, uint64_t count) {
    const uint64_t end = plain_end(cohort, first + count - 1) + (first + count) * PLACET_TAG_BYTES;
    return end - first * cohort->segment_bytes;
}

static size_t stride(const placet_cohort *cohort) {
    return cohort->segment_bytes + PLACET_PAD_BYTES;
}

static size_t group_size(const placet_cohort *cohort) {
    const uint64_t fit = CACHE_BYTES / cohort->segment_bytes;
    const uint64_t size = fit < LEAST_GROUP ? LEAST_GROUP : smaller(fit, PLACET_GROUP);
    return (size_t)smaller(size, cohort->clients);
}

static void release_rows(placet_cohort *cohort) {
    if (cohort->plain != NULL) {
        explicit_bzero(cohort->plain, cohort->rows * stride(cohort));
        free(cohort->plain);
        cohort->plain = NULL;
    }
    if (cohort->scratch != NULL) {
        explicit_bzero(cohort->scratch, placet_scratch_bytes(cohort->clients));
        free(cohort->scratch);
        cohort->scratch = NULL;
    }
}

int placet_cohort_allocate(placet_cohort *cohort) {
    cohort->rows = group_size(cohort);
    cohort->members =
        aligned_alloc(_Alignof(placet_member), cohort->clients * sizeof *cohort->members);
    cohort->prefixes = calloc(cohort->clients, sizeof *cohort->prefixes);
    cohort->forged = calloc(cohort->clients, 1);
    cohort->plain = aligned_alloc(ALIGNMENT, cohort->rows * stride(cohort));
    cohort->gcm = placet_gcm_new(cohort->clients);
    if (cohort->members == NULL || cohort->prefixes == NULL || cohort->forged == NULL ||
        cohort->plain == NULL || cohort->gcm == NULL) {
        placet_cohort_wipe(cohort);
        return -1;
    }
    memset(cohort->members, 0, cohort->clients * sizeof *cohort->members);
    return 0;
}

void placet_cohort_wipe(placet_cohort *cohort) {
    release_rows(cohort);
    placet_gcm_free(cohort->gcm);
    cohort->gcm = NULL;
    if (cohort->members != NULL) {
        explicit_bzero(cohort->members, cohort->clients * sizeof *cohort->members);
    }
    free(cohort->members);
    cohort->members = NULL;
    free(cohort->prefixes);
    cohort->prefixes = NULL;
    free(cohort->forged);
    cohort->forged = NULL;
}

/* select and gram look at all clients at once: a row for each, and scratch. They stay for the next
 * call. */
static int all_rows(placet_cohort *cohort) {
    if (cohort->scratch != NULL) {
        return 0;
    }
    uint8_t *plain = aligned_alloc(ALIGNMENT, cohort->clients * stride(cohort));
    int32_t *scratch = aligned_alloc(ALIGNMENT, placet_scratch_bytes(cohort->clients));
    if (plain == NULL || scratch == NULL) {
        free(plain);
        free(scratch);
        return -1;
    }
    release_rows(cohort);
    cohort->plain = plain;
    cohort->rows = cohort->clients;
    cohort->scratch = scratch;
    return 0;
}

/* Opens a client's segment into a row; zeros where it does not open, and behind it. */
static void open_segment(placet_cohort *cohort, size_t client, uint64_t segment,
                         const uint8_t *sealed, uint8_t *plain) {
    const uint64_t header = segment == 0 ? PLACET_HEADER_BYTES : 0;
    const size_t length =
        (size_t)(plain_end(cohort, segment) - plain_offset(cohort, segment) - header);
    uint8_t nonce[PLACET_NONCE_BYTES];
    memcpy(nonce, cohort->prefixes[client], PLACET_PREFIX_BYTES);
    for (int i = 0; i < 4; i++) {
        nonce[PLACET_PREFIX_BYTES + i] = (uint8_t)(segment >> (24 - 8 * i));
    }
    nonce[PLACET_NONCE_BYTES - 1] = segment == cohort->segments - 1;
    if (!placet_gcm_open(cohort->gcm, client, nonce, sealed + header, length, plain)) {
        cohort->forged[client] = 1;
    }
    memset(plain + length, 0, PLACET_PAD_BYTES);
}

/* What a call walks over. */
typedef struct {
    placet_cohort *cohort;
    const uint8_t *const *windows;
    uint64_t first, end; /* segments */
} range;

static const uint8_t *sealed_at(const range *range, size_t client, uint64_t segment) {
    return range->windows[client] + (segment - range->first) * range->cohort->segment_bytes;
}

/* What is opened when these `count` clients are done: the clients behind them, or the first ones'
 * next segment. */
static const uint8_t *next_read(const range *range, uint64_t segment, size_t client, size_t count,
                                size_t i) {
    if (client + count + i < range->cohort->clients) {
        return sealed_at(range, client + count + i, segment);
    }
    return segment + 1 < range->end ? sealed_at(range, i, segment + 1)
                                    : sealed_at(range, client + i, segment);
}

/* Opens one segment of `count` clients, and describes it as a tile. */
static placet_tile open_tile(const range *range, uint64_t segment, size_t client, size_t count) {
    placet_cohort *cohort = range->cohort;
    for (size_t i = 0; i < count; i++) {
        uint8_t *row = cohort->plain + i * stride(cohort);
        open_segment(cohort, client + i, segment, sealed_at(range, client + i, segment), row);
        cohort->members[client + i].plain = row;
        cohort->members[client + i].ahead = next_read(range, segment, client, count, i);
    }
    const uint64_t elements =
        placet_first_element(cohort, segment + 1) - placet_first_element(cohort, segment);
    return (placet_tile){.members = cohort->members + client,
                         .count = count,
                         .encoding = cohort->encoding,
                         .elements = (size_t)elements,
                         .scratch = cohort->scratch};
}

/* Float arithmetic as the folds mean it (nearest, subnormal numbers kept), whatever the thread has
 * set; then as it was. */
static void enter(fenv_t *saved) {
    fegetenv(saved);
    fesetenv(FE_DFL_ENV);
}

static void leave(const fenv_t *saved) { fesetenv(saved); }

void placet_cohort_add(placet_cohort *cohort, const uint8_t *const *windows, uint64_t first,
                       uint64_t count, int64_t *sums) {
    const range range = {cohort, windows, first, first + count};
    const uint64_t origin = placet_first_element(cohort, first);
    const size_t group = group_size(cohort);
    fenv_t saved;
    enter(&saved);
    for (uint64_t segment = first; segment < range.end; segment++) {
        int64_t *part = sums + (placet_first_element(cohort, segment) - origin);
        for (size_t client = 0; client < cohort->clients; client += group) {
            const size_t size = (size_t)smaller(group, cohort->clients - client);
            const placet_tile tile = open_tile(&range, segment, client, size);
            cohort->fold->add(&tile, cohort->weighted, part);
        }
    }
    leave(&saved);
}

int placet_cohort_select(placet_cohort *cohort, const uint8_t *const *windows, uint64_t first,
                         uint64_t count, const placet_network *network, int64_t *sums) {
    if (all_rows(cohort) < 0) {
        return -1;
    }
    const range range = {cohort, windows, first, first + count};
    const uint64_t origin = placet_first_element(cohort, first);
    fenv_t saved;
    enter(&saved);
    for (uint64_t segment = first; segment < range.end; segment++) {
        const placet_tile tile = open_tile(&range, segment, 0, cohort->clients);
        cohort->fold->select(&tile, network,
                             sums + (placet_first_element(cohort, segment) - origin));
    }
    leave(&saved);
    return 0;
}

int placet_cohort_gram(placet_cohort *cohort, const uint8_t *const *windows, uint64_t first,
                       uint64_t count, uint64_t *products) {
    if (all_rows(cohort) < 0) {
        return -1;
    }
    const range range = {cohort, windows, first, first + count};
    fenv_t saved;
    enter(&saved);
    for (uint64_t segment = first; segment < range.end; segment++) {
        const placet_tile tile = open_tile(&range, segment, 0, cohort->clients);
        cohort->fold->gram(&tile, products);
    }
    leave(&saved);
    return 0;
}

unsigned placet_cohort_state(const placet_cohort *cohort, size_t client) {
    return (cohort->members[client].nonfinite ? PLACET_NONFINITE : 0u) |
           (cohort->forged[client] ? PLACET_FORGED : 0u);
}
