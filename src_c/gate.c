/* Who may be inside BLAS when the process ends. Its destructor gives its buffers back, and a daemon thread that is computing
   with them then would crash: so closing the gate waits until all are out, and stops every thread but the closing one there.
   A stopped thread sleeps until the process is gone, as Python's own daemon threads do at that time. */

#define _POSIX_C_SOURCE 200809L

#include "fnn.h"

#if defined(_WIN32)
void fnn_gate_open(void) {}
void fnn_gate_close(void) {}
void fnn_gate_enter(void) {}
void fnn_gate_leave(void) {}
#else

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static _Atomic int inside, closed;
static _Thread_local int closes;
static pthread_once_t at_fork_once = PTHREAD_ONCE_INIT;

static void nap(void) {
    const struct timespec millisecond = {0, 1000000};
    nanosleep(&millisecond, NULL);
}

/* After fork those inside are not in the child. */
static void forget_others(void) { atomic_store(&inside, 0); }

static void register_at_fork(void) { pthread_atfork(NULL, NULL, forget_others); }

void fnn_gate_open(void) {
    pthread_once(&at_fork_once, register_at_fork);
    atomic_store(&closed, 0);
}

void fnn_gate_close(void) {
    closes = 1;
    atomic_store(&closed, 1);
    while (atomic_load(&inside))
        nap();
}

void fnn_gate_enter(void) {
    atomic_fetch_add(&inside, 1);
    if (!atomic_load(&closed) || closes)
        return;
    atomic_fetch_sub(&inside, 1);
    for (;;)
        nap();
}

void fnn_gate_leave(void) { atomic_fetch_sub(&inside, 1); }
#endif
