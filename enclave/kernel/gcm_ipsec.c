/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM by Intel's ipsec-mb: it uses the AVX-512 form of the AES instructions where OpenSSL
 * 3.0 does not. */
#ifdef PLACET_WITH_IPSEC_MB
#define _DEFAULT_SOURCE
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

#include "gcm.h"

const char placet_gcm_name[] = "ipsec-mb";

/* The library wants 64 bytes of alignment, and its header says so only where LINUX is defined. */
typedef struct {
    _Alignas(64) struct gcm_key_data data;
} schedule;

struct placet_gcm {
    IMB_MGR *manager; /* the library's table of functions for this processor */
    size_t bytes;
    struct gcm_context_data context;
    schedule schedules[];
};

placet_gcm *placet_gcm_new(size_t clients) {
    const size_t bytes = sizeof(placet_gcm) + clients * sizeof(schedule);
    placet_gcm *gcm = aligned_alloc(_Alignof(placet_gcm), bytes);
    if (gcm == NULL) {
        return NULL;
    }
    memset(gcm, 0, bytes);
    gcm->bytes = bytes;
    gcm->manager = alloc_mb_mgr(0);
    if (gcm->manager == NULL) {
        placet_gcm_free(gcm);
        return NULL;
    }
    IMB_ARCH unused;
    init_mb_mgr_auto(gcm->manager, &unused);
    if (imb_get_errno(gcm->manager) != 0) {
        placet_gcm_free(gcm);
        return NULL;
    }
    return gcm;
}

bool placet_gcm_set_key(placet_gcm *gcm, size_t client, const uint8_t key[PLACET_KEY_BYTES]) {
    IMB_AES256_GCM_PRE(gcm->manager, key, &gcm->schedules[client].data);
    return true;
}

void placet_gcm_free(placet_gcm *gcm) {
    if (gcm == NULL) {
        return;
    }
    if (gcm->manager != NULL) {
        free_mb_mgr(gcm->manager);
    }
    explicit_bzero(gcm, gcm->bytes);
    free(gcm);
}

/* In a time that does not depend on where they differ. */
static bool equal(const uint8_t *a, const uint8_t *b) {
    uint8_t differs = 0;
    for (size_t i = 0; i < PLACET_TAG_BYTES; i++) {
        differs |= a[i] ^ b[i];
    }
    return differs == 0;
}

bool placet_gcm_open(placet_gcm *gcm, size_t client, const uint8_t nonce[PLACET_NONCE_BYTES],
                     const uint8_t *sealed, size_t length, uint8_t *plain) {
    uint8_t tag[PLACET_TAG_BYTES];
    IMB_AES256_GCM_DEC(gcm->manager, &gcm->schedules[client].data, &gcm->context, plain, sealed,
                       length, nonce, NULL, 0, tag, sizeof tag);
    const bool right = equal(tag, sealed + length);
    if (!right) {
        explicit_bzero(plain, length);
    }
    explicit_bzero(tag, sizeof tag); /* the right tag of a forged segment is not for anyone */
    return right;
}
#endif
