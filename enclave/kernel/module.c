/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placet.enclave._kernel: the Python face of the C files beside it.
 *
 * Every argument is checked here, before any of them is called. The module has no state of its own; see deadline.c for
 * the one thing that belongs to the process.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "kernel.h"

#define LONGEST_SECONDS (366.0 * 24 * 3600) /* a year: far above any lease, far below where time_t arithmetic could wrap */

PyDoc_STRVAR(wipe_doc,
             "wipe($module, buffer, /)\n--\n\n"
             "Overwrite a writable, contiguous buffer with zeros that the compiler may not leave out.");

/* Keeps the GIL: what is wiped is keys and segments, and no other thread should meet a half-wiped buffer. */
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

PyDoc_STRVAR(exit_at_doc,
             "exit_at($module, seconds_from_now, code, /)\n--\n\n"
             "End the process with this exit code when so many seconds have passed, even if native code holds the GIL.\n"
             "\n"
             "A later call moves the deadline and changes the code. Nothing is flushed and no handler runs. The clock is\n"
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

PyDoc_STRVAR(exit_cancel_doc, "exit_cancel($module, /)\n--\n\nTake the deadline back; harmless where there is none.");

static PyObject *exit_cancel(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    placet_exit_cancel();
    Py_RETURN_NONE;
}

PyDoc_STRVAR(harden_doc,
             "harden($module, /)\n--\n\n"
             "Forbid core dumps and debuggers for the rest of the process's life.\n"
             "\n"
             "Returns the names of what worked, out of 'no_core_dumps' and 'not_dumpable'; Gramine refuses the second.");

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

static PyMethodDef methods[] = {
    {"wipe", wipe, METH_O, wipe_doc},
    {"exit_at", exit_at, METH_VARARGS, exit_at_doc},
    {"exit_cancel", exit_cancel, METH_NOARGS, exit_cancel_doc},
    {"harden", harden, METH_NOARGS, harden_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
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
    .m_doc = "What the enclave needs below Python: wiping memory, an exit deadline, process hardening.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
