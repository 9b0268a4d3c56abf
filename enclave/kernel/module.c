/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placet.enclave._kernel: the Python face of the C files beside it.
 *
 * Every argument is checked here or in cohort.c, before any of them is called. The module's state
 * is what this machine can run; see deadline.c for the one thing that belongs to the process.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "arguments.h"
#include "cohort.h"
#include "gcm.h"
#include "kernel.h"
#include "noise.h"
#include "walk.h"

#define LONGEST_SECONDS                                                                            \
    (366.0 * 24 *                                                                                  \
     3600) /* a year: far above any lease, far below where time_t arithmetic could wrap */

PyDoc_STRVAR(
    wipe_doc,
    "wipe($module, buffer, /)\n--\n\n"
    "Overwrite a writable, contiguous buffer with zeros that the compiler may not leave out.");

/* Keeps the GIL: what is wiped is keys and segments, and no other thread should meet a half-wiped
 * buffer. */
static PyObject *wipe(PyObject *module, PyObject *argument) {
    (void)module;
    Py_buffer view;
    if (PyObject_GetBuffer(argument, &view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0) {
        return NULL;
    }
    explicit_bzero(view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    exit_at_doc,
    "exit_at($module, seconds_from_now, code, /)\n--\n\n"
    "End the process with this exit code when so many seconds have passed, even if native code "
    "holds the GIL.\n"
    "\n"
    "A later call moves the deadline and changes the code. Nothing is flushed and no handler runs. "
    "The clock is\n"
    "the monotonic one. The deadline belongs to the process; a forked child starts without one.");

static PyObject *exit_at(PyObject *module, PyObject *args) {
    (void)module;
    double seconds;
    int code;
    if (!PyArg_ParseTuple(args, "di:exit_at", &seconds, &code)) {
        return NULL;
    }
    if (!isfinite(seconds) || seconds < 0 || seconds > LONGEST_SECONDS) {
        PyErr_SetString(PyExc_ValueError, "seconds_from_now must be between 0 and one year");
        return NULL;
    }
    if (code < 0 || code > 255) {
        PyErr_SetString(PyExc_ValueError, "code must be between 0 and 255");
        return NULL;
    }
    const int error = placet_exit_at(seconds, code);
    if (error != 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    exit_cancel_doc,
    "exit_cancel($module, /)\n--\n\nTake the deadline back; harmless where there is none.");

static PyObject *exit_cancel(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    placet_exit_cancel();
    Py_RETURN_NONE;
}

PyDoc_STRVAR(harden_doc, "harden($module, /)\n--\n\n"
                         "Forbid core dumps and debuggers for the rest of the process's life.\n"
                         "\n"
                         "Returns the names of what worked, out of 'no_core_dumps' and "
                         "'not_dumpable'; Gramine refuses the second.");

static PyObject *harden(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    const char *worked[2];
    Py_ssize_t count = 0;
    if (placet_no_core_dumps() == 0) {
        worked[count++] = "no_core_dumps";
    }
    if (placet_not_dumpable() == 0) {
        worked[count++] = "not_dumpable";
    }
    PyObject *names = PyTuple_New(count);
    if (names == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyUnicode_FromString(worked[i]);
        if (name == NULL) {
            Py_DECREF(names);
            return NULL;
        }
        PyTuple_SET_ITEM(names, i, name);
    }
    return names;
}

PyDoc_STRVAR(
    discrete_gaussian_doc,
    "discrete_gaussian($module, random, sigma, out, /)\n--\n\n"
    "Fill out with samples of the discrete Gaussian N_Z(0, sigma^2), made of random bytes.\n"
    "\n"
    "Returns the samples written and the bytes consumed.");

static PyObject *discrete_gaussian(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer random, out;
    PyObject *out_object;
    long long sigma;
    size_t written, used;
    if (!PyArg_ParseTuple(args, "y*LO:discrete_gaussian", &random, &sigma, &out_object)) {
        return NULL;
    }
    if (sigma < 1 || sigma >= PLACET_MAX_SIGMA) {
        PyErr_Format(PyExc_ValueError, "sigma must be 1 or more and below 2^40, not %lld", sigma);
    } else if ((size_t)random.len > PLACET_MAX_RANDOM) {
        PyErr_Format(PyExc_ValueError,
                     "random must have at most 2^24 bytes, not %zd: give it piece by piece",
                     random.len);
    } else if (placet_take_int64(out_object, "out", &out) == 0) {
        Py_BEGIN_ALLOW_THREADS written = placet_discrete_gaussian(
            random.buf, (size_t)random.len, sigma, out.buf, (size_t)out.len / 8, &used);
        Py_END_ALLOW_THREADS
        PyBuffer_Release(&out);
        PyBuffer_Release(&random);
        return Py_BuildValue("(nn)", (Py_ssize_t)written, (Py_ssize_t)used);
    }
    PyBuffer_Release(&random);
    return NULL;
}

static PyMethodDef methods[] = {
    {"wipe", wipe, METH_O, wipe_doc},
    {"exit_at", exit_at, METH_VARARGS, exit_at_doc},
    {"exit_cancel", exit_cancel, METH_NOARGS, exit_cancel_doc},
    {"harden", harden, METH_NOARGS, harden_doc},
    {"discrete_gaussian", discrete_gaussian, METH_VARARGS, discrete_gaussian_doc},
    {NULL, NULL, 0, NULL},
};

/* IMPLEMENTATIONS: the names of what the state holds. */
static int add_implementations(PyObject *module, const placet_module_state *state) {
    PyObject *names = PyTuple_New((Py_ssize_t)state->fold_count);
    for (size_t i = 0; names != NULL && i < state->fold_count; i++) {
        PyObject *name = PyUnicode_FromString(state->folds[i]->name);
        if (name == NULL) {
            Py_CLEAR(names);
        } else {
            PyTuple_SET_ITEM(names, (Py_ssize_t)i, name);
        }
    }
    if (names == NULL) {
        return -1;
    }
    const int result = PyModule_AddObjectRef(module, "IMPLEMENTATIONS", names);
    Py_DECREF(names);
    return result;
}

static int module_exec(PyObject *module) {
    placet_module_state *state = PyModule_GetState(module);
    state->fold_count = placet_folds(state->folds);
    PyObject *type = PyType_FromModuleAndSpec(module, &placet_cohort_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    const int added = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    if (added < 0 || add_implementations(module, state) < 0 ||
        PyModule_AddStringConstant(module, "AEAD", placet_gcm_name) < 0 ||
        PyModule_AddIntConstant(module, "LIMIT", PLACET_LIMIT) < 0 ||
        PyModule_AddIntConstant(module, "NONFINITE", PLACET_NONFINITE) < 0 ||
        PyModule_AddIntConstant(module, "FORGED", PLACET_FORGED) < 0) {
        return -1;
    }
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters /* 3.12 */
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil /* 3.13 */
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "placet.enclave._kernel",
    .m_doc = "What the enclave needs below Python: folding sealed updates, noise, wiping, a "
             "deadline, hardening.",
    .m_size = sizeof(placet_module_state),
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
