/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The discrete Gaussian of Canonne, Kamath and Steinke (2020, "The Discrete Gaussian for
 * Differential Privacy"), algorithms 1 to 3, with t = sigma, and with integers only.
 *
 * Why it is exact. Every choice is a Bernoulli trial of a rational probability r/n, and `bernoulli`
 * makes it exactly: with w the next 16 random bits, the trial succeeds iff (w + u) / 2^16 < r/n for
 * a uniform real u, that is, u < d/n with d = 2^16 r - w n; d <= 0 never, d >= n always, and
 * otherwise it is a fresh trial of d/n. exp(-r/s), 0 <= r <= s: trials of r/(s k), k = 1, 2, ..,
 * until one fails; all of the first k succeed with probability (r/s)^k / k!, so the first failure
 * has an odd number with the alternating sum that is exp(-r/s). (Algorithm 1.) Laplace of scale
 * sigma: |Y| = u + sigma v; u uniform below sigma and kept with exp(-u/sigma); v counts successes
 * of exp(-1); a random sign, and minus zero is rejected. (Algorithm 2.) Y stays with exp(-d^2 / 2
 * sigma^2), d = ||Y| - sigma|. (Algorithm 3.) With d = m sigma + r, 0 <= r < sigma, that is
 * exp(-1/2)^(m^2) * exp(-r/sigma)^m * exp(-(r/sigma)^2 / 2): trials of the kinds above.
 *
 * Why nothing overflows. n <= 2^40 in a trial of r/sigma and d < 2^57. A count of v takes at least
 * 2 bytes, so with PLACET_MAX_RANDOM bytes v < 2^23 and |Y| < 2^63; k and m likewise.
 *
 * How many bytes are read depends on what is drawn: the time tells something about the noise, as
 * rejection sampling does.
 */
#include "noise.h"

#include <stdbool.h>
#include <string.h>

typedef struct {
    const uint8_t *at, *end;
    bool dry; /* the bytes ran out; whatever is drawn since is void */
} source;

static inline uint64_t draw16(source *random) {
    uint16_t word;
    if (random->end - random->at < (ptrdiff_t)sizeof word) {
        random->dry = true;
        return UINT16_MAX; /* a trial fails, so that every loop of trials ends */
    }
    memcpy(&word, random->at, sizeof word);
    random->at += sizeof word;
    return word;
}

static inline uint64_t draw64(source *random) {
    uint64_t word;
    if (random->end - random->at < (ptrdiff_t)sizeof word) {
        random->dry = true;
        return UINT64_MAX;
    }
    memcpy(&word, random->at, sizeof word);
    random->at += sizeof word;
    return word;
}

/* True with probability r/n, 0 <= r <= n < 2^46. */
static inline bool bernoulli(source *random, int64_t r, int64_t n) {
    for (;;) {
        const int64_t d = (r << 16) - (int64_t)draw16(random) * n;
        if (d <= 0 || random->dry) {
            return false;
        }
        if (d >= n) {
            return true;
        }
        r = d;
    }
}

/* Uniform below n, 1 <= n <= 2^40. Lemire (2019), "Fast random integer generation in an interval".
 * */
static inline int64_t uniform(source *random, int64_t n) {
    const uint64_t bound = (uint64_t)n;
    __uint128_t product = (__uint128_t)draw64(random) * bound;
    if ((uint64_t)product < bound) {
        const uint64_t threshold = -bound % bound; /* 2^64 modulo n */
        while ((uint64_t)product < threshold && !random->dry) {
            product = (__uint128_t)draw64(random) * bound;
        }
    }
    return (int64_t)(product >> 64);
}

/* True with probability exp(-1). The trial of 1/1 succeeds without being made. */
static inline bool exp_minus_one(source *random) {
    int64_t k = 2;
    while (bernoulli(random, 1, k)) {
        k++;
    }
    return k % 2 == 1;
}

/* True with probability exp(-r/s). */
static inline bool exp_minus(source *random, int64_t r, int64_t s) {
    int64_t k = 1;
    while (bernoulli(random, r, s) && (k == 1 || bernoulli(random, 1, k))) {
        k++;
    }
    return k % 2 == 1;
}

/* True with probability exp(-(r/s)^2 / 2). */
static inline bool exp_minus_half_square(source *random, int64_t r, int64_t s) {
    int64_t k = 1;
    while (bernoulli(random, 1, 2 * k) && bernoulli(random, r, s) && bernoulli(random, r, s)) {
        k++;
    }
    return k % 2 == 1;
}

/* True with probability exp(-1/2). */
static inline bool exp_minus_half(source *random) {
    int64_t k = 1;
    while (bernoulli(random, 1, 2 * k)) {
        k++;
    }
    return k % 2 == 1;
}

/* True with probability exp(-(m + r/s)^2 / 2). */
static bool accept(source *random, int64_t m, int64_t r, int64_t s) {
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < m; j++) {
            if (!exp_minus_half(random) || random->dry) {
                return false;
            }
        }
        if (!exp_minus(random, r, s) || random->dry) {
            return false;
        }
    }
    return exp_minus_half_square(random, r, s);
}

/* One try; true and a sample, or false: nothing, or the bytes ran out. */
static bool try_once(source *random, int64_t sigma, int64_t *sample) {
    const int64_t u = uniform(random, sigma);
    if (!exp_minus(random, u, sigma)) {
        return false;
    }
    int64_t v = 0;
    while (exp_minus_one(random)) {
        v++;
    }
    /* |u + sigma v - sigma| as m sigma + r */
    const int64_t m = v > 0 ? v - 1 : u == 0;
    const int64_t r = v > 0 ? u : (sigma - u) % sigma;
    if (!accept(random, m, r, sigma)) {
        return false;
    }
    const int64_t magnitude = u + sigma * v;
    const bool negative = draw16(random) >> 15;
    if (negative && magnitude == 0) {
        return false;
    }
    *sample = negative ? -magnitude : magnitude;
    return true;
}

size_t placet_discrete_gaussian(const uint8_t *random, size_t bytes, int64_t sigma, int64_t *out,
                                size_t samples, size_t *used) {
    source stream = {.at = random, .end = random + bytes, .dry = false};
    size_t written = 0;
    *used = 0;
    while (written < samples) {
        int64_t sample;
        const bool drawn = try_once(&stream, sigma, &sample);
        if (stream.dry) {
            break;
        }
        if (drawn) {
            out[written++] = sample;
            *used = (size_t)(stream.at - random);
        }
    }
    return written;
}
