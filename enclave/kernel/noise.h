/* SPDX-License-Identifier: Apache-2.0 */
/* Exact samples of the discrete Gaussian distribution from given random bytes. */
#ifndef PLACET_NOISE_H
#define PLACET_NOISE_H

#include <stddef.h>
#include <stdint.h>

#define PLACET_MAX_SIGMA ((int64_t)1 << 40) /* sigma is below */
#define PLACET_MAX_RANDOM ((size_t)1 << 24) /* bytes a call: bounds every product in noise.c */

/*
 * Writes samples of N_Z(0, sigma^2) until `out` is full or the bytes run out, 1 <= sigma <
 * PLACET_MAX_SIGMA. Returns the samples written, and in `used` the bytes they took; a sample that
 * the bytes do not suffice for takes none.
 */
size_t placet_discrete_gaussian(const uint8_t *random, size_t bytes, int64_t sigma, int64_t *out,
                                size_t samples, size_t *used);

#endif
