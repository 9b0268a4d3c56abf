/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the enclave needs below Python: what a process does for its own end and safety. module.c,
 * cohort.c and arguments.c know Python; the other files are plain C11 on POSIX threads.
 *
 * Folding sealed updates: cohort.c (the Python type) -> walk.c (segments) -> gcm.h (opening:
 * gcm_evp.c or gcm_ipsec.c) and fold.h (folding: fold_vector.h, built as portable.c, avx2.c and
 * avx512.c; choose.c says which). noise.c stands alone.
 */
#ifndef PLACET_KERNEL_H
#define PLACET_KERNEL_H

/* The exit deadline of the process: deadline.c. */
int placet_exit_at(double seconds,
                   int code); /* 0, or the errno that kept the timer from starting */
void placet_exit_cancel(void);

/* What the process can give up for its own safety: harden.c. Each returns 0, or -1 where the system
 * refuses. */
int placet_no_core_dumps(void);
int placet_not_dumpable(void);

#endif
