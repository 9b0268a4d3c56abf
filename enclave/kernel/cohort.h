/* SPDX-License-Identifier: Apache-2.0 */
/* The Python type Cohort. */
#ifndef PLACET_COHORT_H
#define PLACET_COHORT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "fold/fold.h"

/* What the module keeps: the implementations of this machine, best last, asked for once. */
typedef struct {
    const placet_fold *folds[3];
    size_t fold_count;
} placet_module_state;

extern PyType_Spec placet_cohort_spec;

#endif
