/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps plaintext and keys of a process from leaving by a core dump or a debugger.
 *
 * It matters in simulation and where the host's administrator is not the enemy but other users are.
 * Inside SGX the host cannot read the memory anyway, and Gramine answers prctl with -1: the caller
 * reports what did not work and goes on.
 */
#define _GNU_SOURCE
#include <sys/resource.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "kernel.h"

int placet_no_core_dumps(void) {
    /* The hard limit too, so that nothing in the process can raise it again. */
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    return setrlimit(RLIMIT_CORE, &none);
}

int placet_not_dumpable(void) {
#ifdef PR_SET_DUMPABLE
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -1;
#else
    return -1;
#endif
}
