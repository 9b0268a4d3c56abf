/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends the process at a deadline, whatever it is doing.
 *
 * A program that hangs in native code and holds the GIL is out of the reach of Python: no thread,
 * signal handler or audit hook of the interpreter runs again. So the timer is a POSIX thread that
 * never touches Python. Under Gramine there is no timer_create, and setitimer's signal could be
 * blocked by the program; a thread that waits on a futex works in both worlds.
 *
 * The state is the only global of the kernel. It has to be one: _exit ends the process, not an
 * interpreter, so a process has one deadline whichever interpreter or thread sets it. The mutex
 * guards all of it.
 *
 * The clock is CLOCK_MONOTONIC. In an enclave the host answers for the clock and can make the
 * deadline late; what a lease permits is decided by the authority, and the deadline only keeps an
 * honest machine tidy.
 */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"

#define NANOSECONDS 1000000000L

static struct {
    pthread_once_t once;
    int setup_error; /* errno of the first set-up, 0 when it went well */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* waits on CLOCK_MONOTONIC */
    bool running;           /* the thread exists in this process */
    bool armed;
    struct timespec deadline;
    int code;
} timer = {.once = PTHREAD_ONCE_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER};

static int init_condition(void) {
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    if (error != 0) {
        return error;
    }
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (error == 0) {
        error = pthread_cond_init(&timer.changed, &attributes);
    }
    pthread_condattr_destroy(&attributes);
    return error;
}

static void before_fork(void) { pthread_mutex_lock(&timer.mutex); }
static void after_fork_in_parent(void) { pthread_mutex_unlock(&timer.mutex); }

/* The thread stays behind in the parent: a child starts without a deadline and may set its own. */
static void after_fork_in_child(void) {
    timer.running = false;
    timer.armed = false;
    timer.setup_error = init_condition();
    pthread_mutex_unlock(&timer.mutex);
}

static void set_up(void) {
    timer.setup_error = init_condition();
    if (timer.setup_error == 0) {
        timer.setup_error = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    }
}

static bool passed(const struct timespec *deadline) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > deadline->tv_sec ||
           (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

static void *watch(void *unused) {
    (void)unused;
    pthread_mutex_lock(&timer.mutex);
    for (;;) {
        if (!timer.armed) {
            pthread_cond_wait(&timer.changed, &timer.mutex);
        } else if (passed(&timer.deadline)) {
            _exit(timer.code);
        } else {
            pthread_cond_timedwait(&timer.changed, &timer.mutex, &timer.deadline);
        }
    }
    return NULL;
}

/* Called with the mutex held. Signals are blocked in the thread, so that Python's main thread keeps
 * getting them. */
static int start_thread(void) {
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    int error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error != 0) {
        return error;
    }
    error = pthread_create(&thread, NULL, watch, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        pthread_detach(thread);
        timer.running = true;
    }
    return error;
}

static struct timespec from_now(double seconds) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    double whole = floor(seconds);
    at.tv_sec += (time_t)whole;
    at.tv_nsec += (long)((seconds - whole) * NANOSECONDS);
    if (at.tv_nsec >= NANOSECONDS) {
        at.tv_sec += 1;
        at.tv_nsec -= NANOSECONDS;
    }
    return at;
}

int placet_exit_at(double seconds, int code) {
    pthread_once(&timer.once, set_up);
    pthread_mutex_lock(&timer.mutex);
    int error = timer.setup_error;
    if (error == 0 && !timer.running) {
        error = start_thread();
    }
    if (error == 0) {
        timer.deadline = from_now(seconds);
        timer.code = code;
        timer.armed = true;
        pthread_cond_signal(&timer.changed);
    }
    pthread_mutex_unlock(&timer.mutex);
    return error;
}

void placet_exit_cancel(void) {
    pthread_mutex_lock(&timer.mutex);
    timer.armed = false; /* the thread wakes at the old deadline at the latest, and then waits on */
    pthread_mutex_unlock(&timer.mutex);
}
