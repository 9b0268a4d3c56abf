/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cohort: the sealed updates of one round, as one thread reads them.
 *
 * A call checks all its arguments, marks the cohort as busy, and releases the GIL; the buffers are
 * held until it ends.
 */
#include "cohort.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "arguments.h"
#include "walk.h"

typedef struct {
    PyObject_HEAD
    placet_cohort cohort;
    bool usable; /* not wiped */
    atomic_flag busy;
} CohortObject;

/* --- making one --- */

static int read_encoding(const char *name, placet_encoding *encoding) {
    static const char *const names[] = {"float32", "float16", "bfloat16", "int8"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *encoding = (placet_encoding)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "encoding must be float32, float16, bfloat16 or int8, not '%s'",
                 name);
    return -1;
}

static int read_implementation(const placet_module_state *state, const char *name,
                               const placet_fold **fold) {
    *fold = state->folds[state->fold_count - 1];
    if (name == NULL) {
        return 0;
    }
    for (size_t i = 0; i < state->fold_count; i++) {
        if (strcmp(name, state->folds[i]->name) == 0) {
            *fold = state->folds[i];
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "implementation '%s' is not one of IMPLEMENTATIONS", name);
    return -1;
}

static int check_sizes(Py_ssize_t clients, long long elements, long segment_bytes,
                       placet_encoding encoding) {
    const long long most = (1LL << 40) / (long long)placet_encoding_bytes(encoding);
    if (clients < 1 || clients > PLACET_MAX_CLIENTS) {
        PyErr_Format(PyExc_ValueError, "keys must have 1 to %d clients, not %zd",
                     PLACET_MAX_CLIENTS, clients);
    } else if (elements < 1 || elements > most) {
        PyErr_Format(PyExc_ValueError, "elements must be 1 to %lld, not %lld", most, elements);
    } else if (segment_bytes < 1 << 14 || segment_bytes > 1 << 20 ||
               (segment_bytes & (segment_bytes - 1)) != 0) {
        PyErr_Format(PyExc_ValueError,
                     "segment_bytes must be a power of two from 16384 to 1048576, not %ld",
                     segment_bytes);
    } else {
        return 0;
    }
    return -1;
}

static int read_key(PyObject *pair, placet_cohort *cohort, size_t client) {
    PyObject *key, *prefix;
    Py_buffer view;
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_TypeError,
                        "each of keys must be a tuple of a segment key and a nonce prefix");
        return -1;
    }
    key = PyTuple_GET_ITEM(pair, 0);
    prefix = PyTuple_GET_ITEM(pair, 1);
    if (placet_take_bytes(prefix, "a nonce prefix", PLACET_PREFIX_BYTES, &view) < 0) {
        return -1;
    }
    memcpy(cohort->prefixes[client], view.buf, PLACET_PREFIX_BYTES);
    PyBuffer_Release(&view);
    if (placet_take_bytes(key, "a segment key", PLACET_KEY_BYTES, &view) < 0) {
        return -1;
    }
    const bool set = placet_gcm_set_key(cohort->gcm, client, view.buf);
    PyBuffer_Release(&view);
    if (!set) {
        PyErr_SetString(PyExc_RuntimeError, "the cipher library refused a key");
        return -1;
    }
    return 0;
}

static int read_multiplier(PyObject *item, float *multiplier) {
    const double value = PyFloat_AsDouble(item);
    if (value == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    /* FLT_MAX */
    *multiplier = isfinite(value) && fabs(value) <= 3.4028234663852886e38 ? (float)value : -1.0f;
    if (*multiplier != value || *multiplier < 0) {
        PyErr_SetString(PyExc_ValueError,
                        "each multiplier must be finite, 0 or more, and a float32");
        return -1;
    }
    return 0;
}

static int read_weight(PyObject *item, placet_cohort *cohort, int32_t *weight) {
    int overflow;
    const long long value = PyLong_AsLongLongAndOverflow(item, &overflow);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (overflow != 0 || value < 1 || value > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "each weight must be 1 to 2147483647");
        return -1;
    }
    *weight = (int32_t)value;
    cohort->weighted = cohort->weighted || value != 1;
    return 0;
}

static int read_clients(placet_cohort *cohort, PyObject *keys, PyObject *multipliers,
                        PyObject *weights) {
    for (size_t i = 0; i < cohort->clients; i++) {
        placet_member *member = &cohort->members[i];
        const Py_ssize_t at = (Py_ssize_t)i;
        if (read_key(PyTuple_GET_ITEM(keys, at), cohort, i) < 0 ||
            read_multiplier(PyTuple_GET_ITEM(multipliers, at), &member->multiplier) < 0 ||
            read_weight(PyTuple_GET_ITEM(weights, at), cohort, &member->weight) < 0) {
            return -1;
        }
    }
    return 0;
}

/* `given` are the tuples of keys, multipliers and weights. */
static PyObject *make(PyTypeObject *type, placet_cohort numbers, PyObject *const given[3]) {
    const Py_ssize_t clients = PyTuple_GET_SIZE(given[0]);
    if (PyTuple_GET_SIZE(given[1]) != clients || PyTuple_GET_SIZE(given[2]) != clients) {
        PyErr_SetString(PyExc_ValueError,
                        "keys, multipliers and weights must have one item for each client");
        return NULL;
    }
    CohortObject *self = (CohortObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    numbers.clients = (size_t)clients;
    numbers.segments = placet_segments(numbers.elements, numbers.encoding, numbers.segment_bytes);
    self->cohort = numbers;
    atomic_flag_clear(&self->busy);
    self->usable = placet_cohort_allocate(&self->cohort) == 0;
    if (!self->usable) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    if (read_clients(&self->cohort, given[0], given[1], given[2]) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *cohort_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    static char *names[] = {"keys",     "multipliers",   "weights",        "encoding",
                            "elements", "segment_bytes", "implementation", NULL};
    const char *encoding = NULL, *implementation = NULL;
    long long elements = 0;
    long segment_bytes = 0;
    PyObject *given[3], *taken[3] = {NULL, NULL, NULL}, *result = NULL;
    placet_cohort numbers = {0};
    if (!PyArg_ParseTupleAndKeywords(args, named, "OOO|$sLlz:Cohort", names, &given[0], &given[1],
                                     &given[2], &encoding, &elements, &segment_bytes,
                                     &implementation)) {
        return NULL;
    }
    if (encoding ==
        NULL) { /* the format knows no keyword that is required; the numbers are refused at 0 */
        PyErr_SetString(PyExc_TypeError, "encoding, elements and segment_bytes are required");
        return NULL;
    }
    if (read_encoding(encoding, &numbers.encoding) < 0 ||
        read_implementation(PyType_GetModuleState(type), implementation, &numbers.fold) < 0) {
        return NULL;
    }
    bool whole = true;
    for (int i = 0; whole && i < 3; i++) {
        taken[i] = PySequence_Tuple(given[i]);
        whole = taken[i] != NULL;
    }
    if (whole &&
        check_sizes(PyTuple_GET_SIZE(taken[0]), elements, segment_bytes, numbers.encoding) == 0) {
        numbers.elements = (uint64_t)elements;
        numbers.segment_bytes = (size_t)segment_bytes;
        result = make(type, numbers, taken);
    }
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(taken[i]);
    }
    return result;
}

static void cohort_dealloc(CohortObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    placet_cohort_wipe(&self->cohort);
    type->tp_free(self);
    Py_DECREF(type);
}

/* --- using one --- */

/* Marks the cohort as busy with this call; -1 where another thread's call has it, or it was wiped.
 * */
static int begin(CohortObject *self) {
    if (atomic_flag_test_and_set(&self->busy)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread is using this Cohort: make one for each thread");
        return -1;
    }
    if (!self->usable) {
        atomic_flag_clear(&self->busy);
        PyErr_SetString(PyExc_ValueError, "this Cohort has been wiped");
        return -1;
    }
    return 0;
}

static void end(CohortObject *self) { atomic_flag_clear(&self->busy); }

typedef struct {
    uint64_t first, count;
    placet_buffers windows;
    Py_buffer out;
} Call;

static int check_range(const placet_cohort *cohort, long long first, long long count) {
    if (first < 0 || count < 1 || (uint64_t)first >= cohort->segments ||
        (uint64_t)count > cohort->segments - (uint64_t)first) {
        PyErr_Format(PyExc_ValueError,
                     "first and count must name 1 or more of the %llu segments, not %lld and %lld",
                     (unsigned long long)cohort->segments, first, count);
        return -1;
    }
    return 0;
}

static uint64_t range_elements(const placet_cohort *cohort, uint64_t first, uint64_t count) {
    return placet_first_element(cohort, first + count) - placet_first_element(cohort, first);
}

static void finish_call(Call *call) {
    placet_release_buffers(&call->windows);
    PyBuffer_Release(&call->out);
}

/* The arguments of a fold; `expected` is the number of int64 in `out`, 0 for one a coordinate of
 * the range. */
static int begin_call(CohortObject *self, PyObject *windows, long long first, long long count,
                      PyObject *out, const char *out_name, uint64_t expected, Call *call) {
    const placet_cohort *cohort = &self->cohort;
    if (check_range(cohort, first, count) < 0) {
        return -1;
    }
    call->first = (uint64_t)first;
    call->count = (uint64_t)count;
    expected = expected == 0 ? range_elements(cohort, call->first, call->count) : expected;
    if (placet_take_int64(out, out_name, &call->out) < 0) {
        return -1;
    }
    if ((uint64_t)call->out.len / 8 != expected) {
        PyErr_Format(PyExc_ValueError, "%s must hold %llu int64, not %zd", out_name,
                     (unsigned long long)expected, call->out.len / 8);
        PyBuffer_Release(&call->out);
        return -1;
    }
    const uint64_t least = placet_window_bytes(cohort, call->first, call->count);
    if (placet_take_buffers(windows, "windows", (Py_ssize_t)cohort->clients, least,
                            &call->windows) < 0) {
        PyBuffer_Release(&call->out);
        return -1;
    }
    return 0;
}

static PyObject *add_locked(CohortObject *self, PyObject *args) {
    PyObject *windows, *sums;
    long long first, count;
    Call call;
    if (!PyArg_ParseTuple(args, "OLLO:add", &windows, &first, &count, &sums) ||
        begin_call(self, windows, first, count, sums, "sums", 0, &call) < 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    placet_cohort_add(&self->cohort, call.windows.starts, call.first, call.count, call.out.buf);
    Py_END_ALLOW_THREADS
    finish_call(&call);
    Py_RETURN_NONE;
}

static PyObject *select_locked(CohortObject *self, PyObject *args) {
    PyObject *windows, *sums;
    long long first, count;
    int low, high, result = -1;
    Call call;
    placet_network network;
    if (!PyArg_ParseTuple(args, "OLLiiO:select", &windows, &first, &count, &low, &high, &sums)) {
        return NULL;
    }
    if (low < 0 || high <= low || (size_t)high > self->cohort.clients) {
        return PyErr_Format(PyExc_ValueError,
                            "low and high must be 0 <= low < high <= %zu, not %d and %d",
                            self->cohort.clients, low, high);
    }
    if (begin_call(self, windows, first, count, sums, "sums", 0, &call) < 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    if (placet_network_build(&network, self->cohort.clients, (size_t)low, (size_t)high) == 0) {
        result = placet_cohort_select(&self->cohort, call.windows.starts, call.first, call.count,
                                      &network, call.out.buf);
        placet_network_free(&network);
    }
    Py_END_ALLOW_THREADS
    finish_call(&call);
    if (result < 0) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static PyObject *gram_locked(CohortObject *self, PyObject *args) {
    PyObject *windows, *products;
    long long first, count;
    int result;
    Call call;
    const uint64_t clients = self->cohort.clients;
    if (!PyArg_ParseTuple(args, "OLLO:gram", &windows, &first, &count, &products) ||
        begin_call(self, windows, first, count, products, "products", clients * clients, &call) <
            0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS result = placet_cohort_gram(&self->cohort, call.windows.starts,
                                                       call.first, call.count, call.out.buf);
    Py_END_ALLOW_THREADS
    finish_call(&call);
    if (result < 0) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static PyObject *elements_of_locked(CohortObject *self, PyObject *args) {
    long long first, count;
    if (!PyArg_ParseTuple(args, "LL:elements_of", &first, &count) ||
        check_range(&self->cohort, first, count) < 0) {
        return NULL;
    }
    const unsigned long long start = placet_first_element(&self->cohort, (uint64_t)first);
    const unsigned long long stop = placet_first_element(&self->cohort, (uint64_t)(first + count));
    return Py_BuildValue("(KK)", start, stop);
}

static PyObject *integer(placet_u128 value) {
    uint8_t bytes[16];
    memcpy(bytes, &value, sizeof bytes); /* the machine is little-endian: portable.c says so */
    PyObject *data = PyBytes_FromStringAndSize((const char *)bytes, sizeof bytes);
    PyObject *result = data == NULL ? NULL
                                    : PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes",
                                                          "Os", data, "little");
    Py_XDECREF(data);
    return result;
}

static PyObject *list_of(const CohortObject *self,
                         PyObject *(*item)(const placet_cohort *, size_t)) {
    PyObject *list = PyList_New((Py_ssize_t)self->cohort.clients);
    for (size_t i = 0; list != NULL && i < self->cohort.clients; i++) {
        PyObject *value = item(&self->cohort, i);
        if (value == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, value);
        }
    }
    return list;
}

static PyObject *squares_of(const placet_cohort *cohort, size_t client) {
    return integer(cohort->members[client].squares);
}

static PyObject *state_of(const placet_cohort *cohort, size_t client) {
    return PyLong_FromLong((long)placet_cohort_state(cohort, client));
}

static PyObject *squares_locked(CohortObject *self, PyObject *unused) {
    (void)unused;
    return list_of(self, squares_of);
}

static PyObject *states_locked(CohortObject *self, PyObject *unused) {
    (void)unused;
    return list_of(self, state_of);
}

/* Every method but wipe: one call at a time, and none after wipe. */
#define EXCLUSIVE(name)                                                \
    static PyObject *cohort_##name(CohortObject *self, PyObject *args) { \
        if (begin(self) < 0) {                                         \
            return NULL;                                               \
        }                                                              \
        PyObject *result = name##_locked(self, args);                  \
        end(self);                                                     \
        return result;                                                 \
    }
EXCLUSIVE(add)
EXCLUSIVE(select)
EXCLUSIVE(gram)
EXCLUSIVE(elements_of)
EXCLUSIVE(squares)
EXCLUSIVE(states)

static PyObject *cohort_wipe(CohortObject *self, PyObject *unused) {
    (void)unused;
    if (atomic_flag_test_and_set(&self->busy)) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "another thread is using this Cohort: it can be wiped when that call has ended");
        return NULL;
    }
    placet_cohort_wipe(&self->cohort);
    self->usable = false;
    end(self);
    Py_RETURN_NONE;
}

static PyObject *cohort_segments(CohortObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->cohort.segments);
}

static PyMethodDef methods[] = {
    {"add", (PyCFunction)cohort_add, METH_VARARGS,
     "add($self, windows, first, count, sums, /)\n--\n\nAdd every client's weight * q to sums."},
    {"select", (PyCFunction)cohort_select, METH_VARARGS,
     "select($self, windows, first, count, low, high, sums, /)\n--\n\n"
     "Set sums to the sum of the order statistics low .. high-1 of q over the clients."},
    {"gram", (PyCFunction)cohort_gram, METH_VARARGS,
     "gram($self, windows, first, count, products, /)\n--\n\nAdd the scalar products of every two "
     "clients' q to products."},
    {"elements_of", (PyCFunction)cohort_elements_of, METH_VARARGS,
     "elements_of($self, first, count, /)\n--\n\nThe coordinates [start, stop) that these segments "
     "hold."},
    {"squares", (PyCFunction)cohort_squares, METH_NOARGS,
     "squares($self, /)\n--\n\nThe sum of q squared of everything folded so far, one a client."},
    {"states", (PyCFunction)cohort_states, METH_NOARGS,
     "states($self, /)\n--\n\n0, or NONFINITE and FORGED, one a client."},
    {"wipe", (PyCFunction)cohort_wipe, METH_NOARGS,
     "wipe($self, /)\n--\n\nWipe keys and buffers; nothing works afterwards."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"segments", (getter)cohort_segments, NULL, "The number of segments of each stream.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Cohort(keys, multipliers, weights, *, encoding, elements, segment_bytes, "
                "implementation=None)\n--\n\n"
                "The sealed updates of one round, as one thread reads them."},
    {Py_tp_new, cohort_new},
    {Py_tp_dealloc, cohort_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

PyType_Spec placet_cohort_spec = {
    .name = "placet.enclave._kernel.Cohort",
    .basicsize = sizeof(CohortObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
