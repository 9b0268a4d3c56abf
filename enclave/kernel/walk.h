/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the segments of some clients' sealed streams: each is opened, folded, and overwritten by
 * the next.
 *
 * A stream is in Tink's AES256_GCM_HKDF streaming format (placet/sealing/_layout.py): segment i is
 * the bytes from i * segment_bytes on, segment 0 begins with a header, and each ends with a tag.
 */
#ifndef PLACET_WALK_H
#define PLACET_WALK_H

#include "fold/fold.h"
#include "gcm.h"

#define PLACET_HEADER_BYTES 40
#define PLACET_PREFIX_BYTES 7

enum { PLACET_NONFINITE = 1, PLACET_FORGED = 2 }; /* bits of a client's state */

typedef struct {
    const placet_fold *fold;
    placet_encoding encoding;
    size_t clients;
    uint64_t elements, segments;
    size_t segment_bytes;
    bool weighted; /* some weight is not 1 */
    placet_gcm *gcm;
    placet_member *members;
    uint8_t (*prefixes)[PLACET_PREFIX_BYTES];
    uint8_t *forged; /* not 0: a segment of this client did not open */
    uint8_t *plain;  /* `rows` segments of plaintext, a stride apart */
    size_t rows;
    int32_t *scratch;
} placet_cohort;

/* The cohort's `segments` from its other numbers. */
uint64_t placet_segments(uint64_t elements, placet_encoding encoding, size_t segment_bytes);

/* The numbers are set and `segments` is right; the rest is allocated, without keys. 0, or -1 when
 * memory is short. */
int placet_cohort_allocate(placet_cohort *cohort);
void placet_cohort_wipe(placet_cohort *cohort); /* wipes and frees; harmless when done twice */

/* The first coordinate of a segment; of segment number `segments`, the number of coordinates. */
uint64_t placet_first_element(const placet_cohort *cohort, uint64_t segment);

/* The bytes that `count` segments from `first` on have in a stream. */
uint64_t placet_window_bytes(const placet_cohort *cohort, uint64_t first, uint64_t count);

/*
 * The folds of `count` >= 1 segments from `first` on; windows[c] is client c's stream from the
 * first of them. A segment that does not open counts as zeros. select and gram return -1 when
 * memory is short, and then have done nothing.
 */
void placet_cohort_add(placet_cohort *cohort, const uint8_t *const *windows, uint64_t first,
                       uint64_t count, int64_t *sums);
int placet_cohort_select(placet_cohort *cohort, const uint8_t *const *windows, uint64_t first,
                         uint64_t count, const placet_network *network, int64_t *sums);
int placet_cohort_gram(placet_cohort *cohort, const uint8_t *const *windows, uint64_t first,
                       uint64_t count, uint64_t *products);

/* The state of a client: 0 or the bits above. */
unsigned placet_cohort_state(const placet_cohort *cohort, size_t client);

#endif
