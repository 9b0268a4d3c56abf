/* SPDX-License-Identifier: Apache-2.0 */
/* What the enclave needs below Python. module.c alone knows Python; the other files are plain C11 on POSIX threads. */
#ifndef PLACET_KERNEL_H
#define PLACET_KERNEL_H

/* The exit deadline of the process: deadline.c. */
int placet_exit_at(double seconds, int code); /* 0, or the errno that kept the timer from starting */
void placet_exit_cancel(void);

/* What the process can give up for its own safety: harden.c. Each returns 0, or -1 where the system refuses. */
int placet_no_core_dumps(void);
int placet_not_dumpable(void);

#endif
