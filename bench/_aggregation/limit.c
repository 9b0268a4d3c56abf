/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing but opening every segment of some streams by the kernel's own gcm.h, into a buffer that
 * stays in the cache. */
#include <stdlib.h>
#include <string.h>

#include "gcm.h"

enum { HEADER_BYTES = 40, PREFIX_BYTES = 7 };

static bool open_stream(placet_gcm *gcm, size_t client, const uint8_t *prefix,
                        const uint8_t *stream, size_t bytes, size_t segment_bytes, uint8_t *plain) {
    bool all = true;
    for (size_t start = 0, segment = 0; start < bytes; start += segment_bytes, segment++) {
        const size_t end = start + segment_bytes < bytes ? start + segment_bytes : bytes;
        const size_t header = segment == 0 ? HEADER_BYTES : 0;
        uint8_t nonce[PLACET_NONCE_BYTES];
        memcpy(nonce, prefix, PREFIX_BYTES);
        for (int i = 0; i < 4; i++) {
            nonce[PREFIX_BYTES + i] = (uint8_t)(segment >> (24 - 8 * i));
        }
        nonce[PLACET_NONCE_BYTES - 1] = end == bytes;
        all &= placet_gcm_open(gcm, client, nonce, stream + start + header,
                               end - start - header - PLACET_TAG_BYTES, plain);
    }
    return all;
}

/* 0 if every segment of every stream opens. `keys` and `prefixes` hold one behind the other. */
int open_streams(size_t clients, const uint8_t *keys, const uint8_t *prefixes,
                 const uint8_t *const *streams, size_t bytes, size_t segment_bytes) {
    placet_gcm *gcm = placet_gcm_new(clients);
    uint8_t *plain = malloc(segment_bytes);
    bool all = gcm != NULL && plain != NULL;
    for (size_t client = 0; all && client < clients; client++) {
        all = placet_gcm_set_key(gcm, client, keys + client * PLACET_KEY_BYTES) &&
              open_stream(gcm, client, prefixes + client * PREFIX_BYTES, streams[client], bytes,
                          segment_bytes, plain);
    }
    free(plain);
    placet_gcm_free(gcm);
    return all ? 0 : -1;
}
