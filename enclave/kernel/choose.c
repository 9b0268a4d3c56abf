/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place that asks which processor this is.
 *
 * In an enclave the host may answer. All implementations give the same integers with the same access pattern, so a lie
 * makes the enclave slower or ends it. There is none for NEON yet: other machines run the portable one.
 */
#include "fold.h"

size_t placet_folds(const placet_fold *folds[3]) {
    size_t count = 0;
    folds[count++] = &placet_fold_portable;
#if defined(__x86_64__)
    /* These ask for the operating system's part too: that it saves the wide registers. */
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c")) {
        folds[count++] = &placet_fold_avx2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
            folds[count++] = &placet_fold_avx512;
        }
    }
#endif
    return count;
}
