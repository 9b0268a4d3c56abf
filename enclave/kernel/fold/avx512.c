/* SPDX-License-Identifier: Apache-2.0 */
/* The folds in AVX-512 (F, DQ, BW, VL): sixteen lanes. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "fold.h"

#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl")))
#define OP TARGET static inline __attribute__((always_inline))
#define NAME "avx512"
#define SELF placet_fold_avx512
#define LANES 16
#define BLOCK 8
#define SQUARE 4

typedef __m512 lanes_f;
typedef __m512i lanes_i;
typedef __m512i lanes_q;
typedef struct { __m512i even, odd; } lanes_w;
typedef __m512 lanes_b; /* NaN where a NaN or an infinity has been seen, else a zero */

OP lanes_f f_load(placet_encoding encoding, const uint8_t *at) {
    switch (encoding) {
    case PLACET_FLOAT32: return _mm512_load_ps(at);
    case PLACET_FLOAT16: return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)at));
    case PLACET_BFLOAT16:
        return _mm512_castsi512_ps(
            _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)at)), 16));
    default: return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)at)));
    }
}

#define RANGE_LEAST_MAGNITUDE 2 /* of vrangeps: the operand of least magnitude, */
#define RANGE_SIGN_OF_FIRST 0   /* with the sign of the first */
/*
 * vfixupimmps: four bits of the table for each class of x, from the lowest: quiet NaN, signalling
 * NaN, zero, one, -inf, +inf, negative, positive. 8 puts +0, 0 leaves the destination.
 */
#define ZERO_IF_NONFINITE 0x00880088

OP lanes_i i_quantise(lanes_f x, lanes_f m, lanes_b *seen) {
    __m512 y = _mm512_mul_ps(x, m);
    y = _mm512_fixupimm_ps(y, x, _mm512_set1_epi32(ZERO_IF_NONFINITE), 0);
    y = _mm512_range_ps(y, _mm512_set1_ps(PLACET_LIMIT),
                        RANGE_LEAST_MAGNITUDE | RANGE_SIGN_OF_FIRST << 2);
    /* NaN * 0 and infinity * 0 are NaN, and stay. */
    *seen = _mm512_fmadd_ps(x, _mm512_setzero_ps(), *seen);
    return _mm512_cvttps_epi32(y);
}

OP lanes_f f_all(float x) { return _mm512_set1_ps(x); }
OP lanes_i i_all(int32_t x) { return _mm512_set1_epi32(x); }
OP lanes_i i_zero(void) { return _mm512_setzero_si512(); }
OP lanes_i i_load(const int32_t *p) { return _mm512_load_si512(p); }
OP void i_store(int32_t *p, lanes_i x) { _mm512_store_si512(p, x); }
OP lanes_i i_add(lanes_i a, lanes_i b) { return _mm512_add_epi32(a, b); }
OP lanes_i i_sub(lanes_i a, lanes_i b) { return _mm512_sub_epi32(a, b); }
OP lanes_i i_min(lanes_i a, lanes_i b) { return _mm512_min_epi32(a, b); }
OP lanes_i i_max(lanes_i a, lanes_i b) { return _mm512_max_epi32(a, b); }
OP lanes_i i_negative(lanes_i x) { return _mm512_srai_epi32(x, 31); }
OP lanes_i i_half(lanes_i x) { return _mm512_srai_epi32(x, 1); }
OP lanes_i i_pick(lanes_i mask, lanes_i a, lanes_i b) {
    return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}
OP void sum_half(int64_t *sums, __m512i x) {
    _mm512_storeu_si512(sums, _mm512_add_epi64(_mm512_loadu_si512(sums), x));
}
OP void i_sum_into(int64_t *sums, lanes_i x) {
    sum_half(sums, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x)));
    sum_half(sums + 8, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(x, 1)));
}
OP lanes_q q_zero(void) { return _mm512_setzero_si512(); }
OP lanes_q q_load(const uint64_t *p) { return _mm512_load_si512(p); }
OP void q_store(uint64_t *p, lanes_q x) { _mm512_store_si512(p, x); }
OP __m512i odd_lanes(lanes_i x) { return _mm512_srli_epi64(x, 32); }
OP lanes_q q_dot(lanes_q total, lanes_i a, lanes_i b) {
    total = _mm512_add_epi64(total, _mm512_mul_epi32(a, b));
    return _mm512_add_epi64(total, _mm512_mul_epi32(odd_lanes(a), odd_lanes(b)));
}
OP uint64_t q_total(lanes_q x) { return (uint64_t)_mm512_reduce_add_epi64(x); }
OP lanes_w w_zero(void) { return (lanes_w){_mm512_setzero_si512(), _mm512_setzero_si512()}; }
OP lanes_w w_dot(lanes_w total, lanes_i a, lanes_i b) {
    return (lanes_w){_mm512_add_epi64(total.even, _mm512_mul_epi32(a, b)),
                     _mm512_add_epi64(total.odd, _mm512_mul_epi32(odd_lanes(a), odd_lanes(b)))};
}
OP void w_sum_into(int64_t *sums, lanes_w x) {
    const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    sum_half(sums, _mm512_permutex2var_epi64(x.even, first, x.odd));
    sum_half(sums + 8, _mm512_permutex2var_epi64(x.even, second, x.odd));
}
OP lanes_b b_load(const uint32_t *p) { return _mm512_load_ps(p); }
OP void b_store(uint32_t *p, lanes_b x) { _mm512_store_ps(p, x); }
OP uint32_t b_any(const uint32_t *p) {
    const __m512 x = b_load(p);
    return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
}

#include "fold_vector.h"
#endif
