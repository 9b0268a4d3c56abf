/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments from Python, checked. Every function returns -1 or NULL with the exception set. */
#ifndef PLACET_ARGUMENTS_H
#define PLACET_ARGUMENTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* A writable, contiguous buffer of 64-bit signed integers ('q', or 'l' of 8 bytes) in their natural
 * alignment. */
int placet_take_int64(PyObject *object, const char *name, Py_buffer *view);

/* Contiguous bytes, exactly `length` of them. */
int placet_take_bytes(PyObject *object, const char *name, Py_ssize_t length, Py_buffer *view);

/* One buffer from each item of a sequence, each of at least `least` bytes. */
typedef struct {
    Py_ssize_t count;
    Py_buffer *views;
    const uint8_t **starts;
} placet_buffers;

int placet_take_buffers(PyObject *sequence, const char *name, Py_ssize_t count, uint64_t least,
                        placet_buffers *buffers);
void placet_release_buffers(placet_buffers *buffers);

#endif
