/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM by libcrypto's EVP interface, OpenSSL 3. */
#ifndef PLACET_WITH_IPSEC_MB
#define _DEFAULT_SOURCE
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "gcm.h"

const char placet_gcm_name[] = "openssl";

struct placet_gcm {
    EVP_CIPHER *cipher;
    size_t clients;
    EVP_CIPHER_CTX *contexts[];
};

placet_gcm *placet_gcm_new(size_t clients) {
    placet_gcm *gcm = calloc(1, sizeof *gcm + clients * sizeof gcm->contexts[0]);
    if (gcm == NULL) {
        return NULL;
    }
    gcm->clients = clients;
    gcm->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    bool whole = gcm->cipher != NULL;
    for (size_t i = 0; whole && i < clients; i++) {
        gcm->contexts[i] = EVP_CIPHER_CTX_new();
        whole = gcm->contexts[i] != NULL;
    }
    if (!whole) {
        placet_gcm_free(gcm);
        return NULL;
    }
    return gcm;
}

bool placet_gcm_set_key(placet_gcm *gcm, size_t client, const uint8_t key[PLACET_KEY_BYTES]) {
    return EVP_DecryptInit_ex2(gcm->contexts[client], gcm->cipher, key, NULL, NULL) == 1;
}

void placet_gcm_free(placet_gcm *gcm) {
    if (gcm == NULL) {
        return;
    }
    for (size_t i = 0; i < gcm->clients; i++) {
        EVP_CIPHER_CTX_free(gcm->contexts[i]); /* which clears the key schedule */
    }
    EVP_CIPHER_free(gcm->cipher);
    free(gcm);
}

bool placet_gcm_open(placet_gcm *gcm, size_t client, const uint8_t nonce[PLACET_NONCE_BYTES],
                     const uint8_t *sealed, size_t length, uint8_t *plain) {
    EVP_CIPHER_CTX *context = gcm->contexts[client];
    int written = 0, rest = 0;
    /* The call takes the tag as writable and only reads it. */
    const bool right = EVP_DecryptInit_ex2(context, NULL, NULL, nonce, NULL) == 1 &&
                       EVP_DecryptUpdate(context, plain, &written, sealed, (int)length) == 1 &&
                       EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, PLACET_TAG_BYTES,
                                           (void *)(uintptr_t)(sealed + length)) == 1 &&
                       EVP_DecryptFinal_ex(context, plain + written, &rest) == 1;
    if (!right) {
        explicit_bzero(plain, length);
    }
    return right;
}
#endif
