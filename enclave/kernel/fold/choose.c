/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place that asks which processor this is.
 *
 * In an enclave the host may answer. All implementations give the same integers with the same
 * access pattern, so a lie makes the enclave slower or ends it. There is none for NEON yet: other
 * machines run the portable one.
 */
#include "fold.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* States of XCR0 (Intel SDM, 13.3): the registers that the operating system keeps. */
#define WIDE 0x06u   /* XMM, YMM */
#define WIDEST 0xe6u /* and masks, both halves of ZMM */
#define AVX512 (bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL)

/* How many of the two wide implementations run here. Compilers have a function for it; one's says
 * no. */
static size_t wide(void) {
    unsigned eax, ebx, ecx, edx, kept, unused;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE) || !(ecx & bit_F16C)) {
        return 0;
    }
    __asm__ volatile("xgetbv" : "=a"(kept), "=d"(unused) : "c"(0));
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & bit_AVX2) ||
        (kept & WIDE) != WIDE) {
        return 0;
    }
    return (ebx & AVX512) == AVX512 && (kept & WIDEST) == WIDEST ? 2 : 1;
}
#endif

size_t placet_folds(const placet_fold *folds[3]) {
    size_t count = 0;
    folds[count++] = &placet_fold_portable;
#if defined(__x86_64__)
    const size_t found = wide();
    if (found > 0) {
        folds[count++] = &placet_fold_avx2;
    }
    if (found > 1) {
        folds[count++] = &placet_fold_avx512;
    }
#endif
    return count;
}
