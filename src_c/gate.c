/* Who may be inside BLAS when the process ends or forks. OpenBLAS then ends its threads and gives its buffers back: another
   thread that is computing would crash, or wait for ever for threads that are gone. So the gate closes before: it waits until
   all are out, and no thread but the closing one gets in until it opens again. After the end of the process that is never, and
   they sleep until it is gone, as Python's own daemon threads do at that time. */

#define _POSIX_C_SOURCE 200809L

#include "fnn.h"

#include "threads.h"

#include <stdatomic.h>

static _Atomic int inside, closed;
static _Thread_local int closes;
static thread_once_flag at_fork_once = THREAD_ONCE;

enum { SHORT_WHILE = 100 };

void fnn_gate_close(void) {
    closes++;
    atomic_fetch_add(&closed, 1);
    while (atomic_load(&inside))
        thread_nap(SHORT_WHILE);
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
static void register_at_fork(void) { thread_at_fork(fnn_gate_close, open_again, open_in_child); }

void fnn_gate_open(void) { thread_once(&at_fork_once, register_at_fork); }

void fnn_gate_enter(void) {
    for (;;) {
        atomic_fetch_add(&inside, 1);
        if (!atomic_load(&closed) || closes)
            return;
        atomic_fetch_sub(&inside, 1);
        thread_nap(SHORT_WHILE);
    }
}

void fnn_gate_leave(void) { atomic_fetch_sub(&inside, 1); }
