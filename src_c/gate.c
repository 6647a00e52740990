/* Who may be inside BLAS when the process ends or forks. OpenBLAS then ends its threads and gives its buffers back: another
   thread that is computing would crash, or wait for ever for threads that are gone. So the gate closes before: it waits until
   all are out, and no thread but the closing one gets in until it opens again. After the end of the process that is never, and
   they sleep until it is gone, as Python's own daemon threads do at that time. */

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
    const struct timespec short_while = {0, 100000};
    nanosleep(&short_while, NULL);
}

void fnn_gate_close(void) {
    closes++;
    atomic_fetch_add(&closed, 1);
    while (atomic_load(&inside))
        nap();
}

static void open_again(void) {
    closes--;
    atomic_fetch_sub(&closed, 1);
}

/* One that was about to be stopped at the gate is not in the child, nor is one that closed it to fork at the same time. */
static void open_in_child(void) {
    closes--;
    atomic_store(&inside, 0);
    atomic_store(&closed, closes);
}

/* Handlers that run before a fork run in the reverse order of their registration: this one before that of OpenBLAS, which was
   loaded earlier. */
static void register_at_fork(void) { pthread_atfork(fnn_gate_close, open_again, open_in_child); }

void fnn_gate_open(void) { pthread_once(&at_fork_once, register_at_fork); }

void fnn_gate_enter(void) {
    for (;;) {
        atomic_fetch_add(&inside, 1);
        if (!atomic_load(&closed) || closes)
            return;
        atomic_fetch_sub(&inside, 1);
        nap();
    }
}

void fnn_gate_leave(void) { atomic_fetch_sub(&inside, 1); }
#endif
