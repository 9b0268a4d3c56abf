/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening segments with AES-256-GCM (NIST SP 800-38D; no associated data, 16-byte tag), by a
 * library and never by code of our own. One of gcm_evp.c and gcm_ipsec.c is built: setup.py
 * chooses.
 */
#ifndef PLACET_GCM_H
#define PLACET_GCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACET_KEY_BYTES 32
#define PLACET_NONCE_BYTES 12
#define PLACET_TAG_BYTES 16

extern const char placet_gcm_name[];

/* The key schedules of some clients. For one thread at a time. */
typedef struct placet_gcm placet_gcm;

/* NULL when memory is short or the library refuses. */
placet_gcm *placet_gcm_new(size_t clients);
bool placet_gcm_set_key(placet_gcm *gcm, size_t client, const uint8_t key[PLACET_KEY_BYTES]);
void placet_gcm_free(placet_gcm *gcm); /* wipes the schedules; NULL is harmless */

/*
 * Opens length + 16 bytes of `sealed` into `length` bytes of `plain`, where length < 2^31. False:
 * the tag is wrong, and `plain` has been wiped.
 */
bool placet_gcm_open(placet_gcm *gcm, size_t client, const uint8_t nonce[PLACET_NONCE_BYTES],
                     const uint8_t *sealed, size_t length, uint8_t *plain);

#endif
