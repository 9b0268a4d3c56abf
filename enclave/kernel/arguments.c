/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers from Python, checked before anything is read from or written to them. */
#include "arguments.h"

#include <stdbool.h>
#include <string.h>

static bool is_int64(const Py_buffer *view) {
    const char *format = view->format == NULL ? "B" : view->format;
    if (*format == '@' || *format == '=' || *format == '<') {
        format++;
    }
    return (strcmp(format, "q") == 0 || strcmp(format, "l") == 0) && view->itemsize == 8;
}

int placet_take_int64(PyObject *object, const char *name, Py_buffer *view) {
    if (PyObject_GetBuffer(object, view, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) {
        return -1;
    }
    if (is_int64(view) && (uintptr_t)view->buf % _Alignof(int64_t) == 0) {
        return 0;
    }
    if (is_int64(view)) {
        PyErr_Format(PyExc_ValueError, "%s must be aligned to 8 bytes", name);
    } else {
        PyErr_Format(PyExc_TypeError, "%s must hold int64 (format 'q'), not format '%s'", name,
                     view->format == NULL ? "B" : view->format);
    }
    PyBuffer_Release(view);
    return -1;
}

int placet_take_bytes(PyObject *object, const char *name, Py_ssize_t length, Py_buffer *view) {
    if (PyObject_GetBuffer(object, view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    if (view->len != length) {
        PyErr_Format(PyExc_ValueError, "%s must have %zd bytes, not %zd", name, length, view->len);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

void placet_release_buffers(placet_buffers *buffers) {
    for (Py_ssize_t i = 0; i < buffers->count; i++) {
        PyBuffer_Release(&buffers->views[i]);
    }
    PyMem_Free(buffers->views);
    PyMem_Free(buffers->starts);
}

static int take_one(PyObject *item, const char *name, uint64_t least, placet_buffers *buffers) {
    Py_buffer *view = &buffers->views[buffers->count];
    if (PyObject_GetBuffer(item, view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    buffers->starts[buffers->count++] = view->buf;
    if ((uint64_t)view->len < least) {
        PyErr_Format(PyExc_ValueError, "%s[%zd] has %zd bytes; these segments need %llu", name,
                     buffers->count - 1, view->len, (unsigned long long)least);
        return -1;
    }
    return 0;
}

int placet_take_buffers(PyObject *sequence, const char *name, Py_ssize_t count, uint64_t least,
                        placet_buffers *buffers) {
    *buffers = (placet_buffers){0};
    /* A tuple, because the sequence may change while buffers are taken. */
    PyObject *items = PySequence_Tuple(sequence);
    if (items == NULL) {
        return -1;
    }
    int result = -1;
    if (PyTuple_GET_SIZE(items) != count) {
        PyErr_Format(PyExc_ValueError, "%s must have an item for each of the %zd clients, not %zd",
                     name, count, PyTuple_GET_SIZE(items));
        goto done;
    }
    buffers->views = PyMem_Calloc((size_t)count, sizeof *buffers->views);
    buffers->starts = PyMem_Calloc((size_t)count, sizeof *buffers->starts);
    if (buffers->views == NULL || buffers->starts == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (take_one(PyTuple_GET_ITEM(items, i), name, least, buffers) < 0) {
            goto done;
        }
    }
    result = 0;
done:
    Py_DECREF(items);
    if (result < 0) {
        placet_release_buffers(buffers);
    }
    return result;
}
