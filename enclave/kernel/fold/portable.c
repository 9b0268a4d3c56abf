/* SPDX-License-Identifier: Apache-2.0 */
/* The folds in plain C11, one lane at a time: what every other implementation must equal. */
#include <float.h>
#include <stdint.h>
#include <string.h>

#include "fold.h"

#if FLT_EVAL_METHOD != 0
#error "float32 products must be rounded to float32: build for such a machine (-mfpmath=sse)"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "updates are little-endian and are read as they are: build for a little-endian machine"
#endif

#define TARGET
#define NAME "portable"
#define SELF placet_fold_portable
#define LANES 1
#define BLOCK 4
#define SQUARE 4
#define EXPONENT UINT32_C(0x7f800000)
#define SIGN UINT32_C(0x80000000)

typedef float lanes_f;
typedef int32_t lanes_i;
typedef uint64_t lanes_q;
typedef uint64_t lanes_w;
typedef uint32_t lanes_b;

static inline float as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t as_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Half precision has the exponent 112 lower; scaling by 2^112 is exact, for subnormal numbers too.
 * */
static inline float from_half(uint16_t half) {
    const uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
    const uint32_t special =
        (uint32_t)-(int32_t)((half & 0x7c00) == 0x7c00) & EXPONENT; /* infinity or NaN */
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    return as_float(as_bits(as_float(magnitude) * 0x1p112f) | special | sign);
}

static inline lanes_f f_load(placet_encoding encoding, const uint8_t *at) {
    uint32_t bits;
    uint16_t half;
    switch (encoding) {
    case PLACET_FLOAT32: memcpy(&bits, at, sizeof bits); return as_float(bits);
    case PLACET_FLOAT16: memcpy(&half, at, sizeof half); return from_half(half);
    case PLACET_BFLOAT16: memcpy(&half, at, sizeof half); return as_float((uint32_t)half << 16);
    default: return (float)(int8_t)*at;
    }
}

/* By the sign of the difference, which cannot overflow here, and not by ?:, which may become a
 * branch. */
static inline lanes_i i_negative(lanes_i x) { return x >> 31; }
static inline lanes_i i_pick(lanes_i mask, lanes_i a, lanes_i b) {
    return (a & mask) | (b & ~mask);
}
static inline lanes_i i_min(lanes_i a, lanes_i b) { return i_pick(i_negative(a - b), a, b); }
static inline lanes_i i_max(lanes_i a, lanes_i b) { return i_pick(i_negative(a - b), b, a); }

/* Magnitudes of floats have the order of their bits; infinity and NaN come last. */
static inline lanes_i i_quantise(lanes_f x, lanes_f m, lanes_b *seen) {
    const uint32_t nonfinite = (uint32_t)-(int32_t)((as_bits(x) & EXPONENT) == EXPONENT);
    const uint32_t product = as_bits(x * m);
    const int32_t magnitude = i_min((int32_t)(product & ~SIGN), (int32_t)as_bits(PLACET_LIMIT));
    *seen |= nonfinite;
    return (int32_t)as_float((uint32_t)magnitude | (product & SIGN)) & (int32_t)~nonfinite;
}

static inline lanes_f f_all(float x) { return x; }
static inline lanes_i i_all(int32_t x) { return x; }
static inline lanes_i i_zero(void) { return 0; }
static inline lanes_i i_load(const int32_t *p) { return *p; }
static inline void i_store(int32_t *p, lanes_i x) { *p = x; }
static inline lanes_i i_add(lanes_i a, lanes_i b) { return a + b; }
static inline lanes_i i_sub(lanes_i a, lanes_i b) { return a - b; }
static inline lanes_i i_half(lanes_i x) { return x >> 1; }
static inline void i_sum_into(int64_t *sums, lanes_i x) {
    *sums = (int64_t)((uint64_t)*sums + (uint64_t)x);
}
static inline lanes_q q_zero(void) { return 0; }
static inline lanes_q q_load(const uint64_t *p) { return *p; }
static inline void q_store(uint64_t *p, lanes_q x) { *p = x; }
static inline lanes_q q_dot(lanes_q total, lanes_i a, lanes_i b) {
    return total + (uint64_t)((int64_t)a * b);
}
static inline uint64_t q_total(lanes_q x) { return x; }
static inline lanes_w w_zero(void) { return 0; }
static inline lanes_w w_dot(lanes_w total, lanes_i a, lanes_i b) { return q_dot(total, a, b); }
static inline void w_sum_into(int64_t *sums, lanes_w x) { *sums = (int64_t)((uint64_t)*sums + x); }
static inline lanes_b b_load(const uint32_t *p) { return *p; }
static inline void b_store(uint32_t *p, lanes_b x) { *p = x; }
static inline uint32_t b_any(const uint32_t *p) { return *p; }

#include "fold_vector.h"
