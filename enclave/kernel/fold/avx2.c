/* SPDX-License-Identifier: Apache-2.0 */
/* The folds in AVX2 with F16C: eight lanes. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "fold.h"

#define TARGET __attribute__((target("avx2,f16c")))
#define OP TARGET static inline __attribute__((always_inline))
#define NAME "avx2"
#define SELF placet_fold_avx2
#define LANES 8
#define BLOCK 4
#define SQUARE 2

typedef __m256 lanes_f;
typedef __m256i lanes_i;
typedef __m256i lanes_q;
typedef struct { __m256i even, odd; } lanes_w;
typedef __m256i lanes_b;

OP lanes_f f_load(placet_encoding encoding, const uint8_t *at) {
    switch (encoding) {
    case PLACET_FLOAT32: return _mm256_load_ps((const float *)at);
    case PLACET_FLOAT16: return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)at));
    case PLACET_BFLOAT16:
        return _mm256_castsi256_ps(
            _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_load_si128((const __m128i *)at)), 16));
    default: return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)at)));
    }
}

OP lanes_i i_quantise(lanes_f x, lanes_f m, lanes_b *seen) {
    const __m256i exponent = _mm256_set1_epi32(0x7f800000);
    const __m256i nonfinite =
        _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(x), exponent), exponent);
    __m256 y = _mm256_mul_ps(x, m);
    y = _mm256_min_ps(y, _mm256_set1_ps(PLACET_LIMIT)); /* of NaN the second operand */
    y = _mm256_max_ps(y, _mm256_set1_ps(-PLACET_LIMIT));
    *seen = _mm256_or_si256(*seen, nonfinite);
    return _mm256_andnot_si256(nonfinite, _mm256_cvttps_epi32(y));
}

OP lanes_f f_all(float x) { return _mm256_set1_ps(x); }
OP lanes_i i_all(int32_t x) { return _mm256_set1_epi32(x); }
OP lanes_i i_zero(void) { return _mm256_setzero_si256(); }
OP lanes_i i_load(const int32_t *p) { return _mm256_load_si256((const __m256i *)p); }
OP void i_store(int32_t *p, lanes_i x) { _mm256_store_si256((__m256i *)p, x); }
OP lanes_i i_add(lanes_i a, lanes_i b) { return _mm256_add_epi32(a, b); }
OP lanes_i i_sub(lanes_i a, lanes_i b) { return _mm256_sub_epi32(a, b); }
OP lanes_i i_min(lanes_i a, lanes_i b) { return _mm256_min_epi32(a, b); }
OP lanes_i i_max(lanes_i a, lanes_i b) { return _mm256_max_epi32(a, b); }
OP lanes_i i_negative(lanes_i x) { return _mm256_srai_epi32(x, 31); }
OP lanes_i i_half(lanes_i x) { return _mm256_srai_epi32(x, 1); }
OP lanes_i i_pick(lanes_i mask, lanes_i a, lanes_i b) { return _mm256_blendv_epi8(b, a, mask); }
OP void sum_half(int64_t *sums, __m256i x) {
    _mm256_storeu_si256((__m256i *)sums,
                        _mm256_add_epi64(_mm256_loadu_si256((const __m256i *)sums), x));
}
OP void i_sum_into(int64_t *sums, lanes_i x) {
    sum_half(sums, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(x)));
    sum_half(sums + 4, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(x, 1)));
}
OP lanes_q q_zero(void) { return _mm256_setzero_si256(); }
OP lanes_q q_load(const uint64_t *p) { return _mm256_load_si256((const __m256i *)p); }
OP void q_store(uint64_t *p, lanes_q x) { _mm256_store_si256((__m256i *)p, x); }
OP __m256i odd_lanes(lanes_i x) { return _mm256_srli_epi64(x, 32); }
OP lanes_q q_dot(lanes_q total, lanes_i a, lanes_i b) {
    total = _mm256_add_epi64(total, _mm256_mul_epi32(a, b));
    return _mm256_add_epi64(total, _mm256_mul_epi32(odd_lanes(a), odd_lanes(b)));
}
OP uint64_t q_total(lanes_q x) {
    const __m128i pair = _mm_add_epi64(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    return (uint64_t)_mm_extract_epi64(pair, 0) + (uint64_t)_mm_extract_epi64(pair, 1);
}
OP lanes_w w_zero(void) { return (lanes_w){_mm256_setzero_si256(), _mm256_setzero_si256()}; }
OP lanes_w w_dot(lanes_w total, lanes_i a, lanes_i b) {
    return (lanes_w){_mm256_add_epi64(total.even, _mm256_mul_epi32(a, b)),
                     _mm256_add_epi64(total.odd, _mm256_mul_epi32(odd_lanes(a), odd_lanes(b)))};
}
OP void w_sum_into(int64_t *sums, lanes_w x) {
    const __m256i outer = _mm256_unpacklo_epi64(x.even, x.odd); /* lanes 0 1 4 5 */
    const __m256i inner = _mm256_unpackhi_epi64(x.even, x.odd); /* lanes 2 3 6 7 */
    sum_half(sums, _mm256_permute2x128_si256(outer, inner, 0x20));
    sum_half(sums + 4, _mm256_permute2x128_si256(outer, inner, 0x31));
}
OP lanes_b b_load(const uint32_t *p) { return i_load((const int32_t *)p); }
OP void b_store(uint32_t *p, lanes_b x) { i_store((int32_t *)p, x); }
OP uint32_t b_any(const uint32_t *p) { return (uint32_t)_mm256_movemask_epi8(b_load(p)); }

#include "fold_vector.h"
#endif
