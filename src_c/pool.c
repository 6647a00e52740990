/* A small pool of threads for work of microseconds. Created on first use; workers spin for a short while after a job, then
   sleep; a child after fork starts anew. One job at a time: a second caller runs its tasks itself, which gives the same
   results, since tasks do not depend on their thread. A worker computes with the caller's rounding and treatment of denormals:
   those belong to a thread, and some other library may have set them on either.

   `ticket` holds everything that decides whether a worker may join:

     bits 0 … 15   workers that have joined the job
     bit 16        closed: nobody may join any more
     bits 17 …     number of the job

   The caller writes the job, opens a ticket with the next number, works along, closes it and waits until all that had joined
   have left. A worker that wakes late finds the ticket closed and touches nothing, so a job never waits for a sleeper. */

#define _POSIX_C_SOURCE 200809L

#include "fnn.h"

#include "cpu/fpenv.h"
#include "threads.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { CLOSED = 1 << 16, JOINED = CLOSED - 1, SPINS = 4000 };

static thread_mutex job_lock = THREAD_MUTEX; /* held by the caller whose job runs */
static thread_mutex sleep_lock = THREAD_MUTEX;
static thread_condition wake = THREAD_CONDITION;
static thread_once_flag at_fork_once = THREAD_ONCE;
static int n_workers; /* guarded by job_lock */

static _Atomic uint64_t ticket = CLOSED;
static _Atomic int left, sleepers;
static _Atomic ptrdiff_t next_task;
static struct {
    fnn_task_fn task;
    void *context;
    ptrdiff_t n_tasks;
    int n_threads;
    fnn_fpenv fpenv; /* of the caller */
} job;

static inline void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_tasks(int slot) {
    for (ptrdiff_t i; (i = atomic_fetch_add_explicit(&next_task, 1, memory_order_relaxed)) < job.n_tasks;)
        job.task(job.context, i, slot);
}

/* Waits until the ticket is not `seen`, spinning first. */
static uint64_t await_ticket(uint64_t seen) {
    for (int i = 0; i < SPINS; i++) {
        const uint64_t now = atomic_load_explicit(&ticket, memory_order_acquire);
        if (now / (2 * CLOSED) != seen / (2 * CLOSED))
            return now;
        spin_pause();
    }
    thread_lock(&sleep_lock);
    atomic_fetch_add(&sleepers, 1);
    uint64_t now;
    while ((now = atomic_load(&ticket)) / (2 * CLOSED) == seen / (2 * CLOSED))
        thread_wait(&wake, &sleep_lock);
    atomic_fetch_sub(&sleepers, 1);
    thread_unlock(&sleep_lock);
    return now;
}

static thread_result worker(void *first_ticket) {
    uint64_t seen = *(uint64_t *)first_ticket;
    free(first_ticket);
    for (;;) {
        uint64_t now = seen = await_ticket(seen);
        while (!(now & CLOSED) && now / (2 * CLOSED) == seen / (2 * CLOSED)) {
            if (!atomic_compare_exchange_weak(&ticket, &now, now + 1))
                continue;
            /* Joined: the job cannot end before this worker leaves. */
            const int slot = (int)(now & JOINED) + 1;
            if (slot < job.n_threads) {
                fnn_fpenv_follow(job.fpenv);
                run_tasks(slot);
            }
            atomic_fetch_add_explicit(&left, 1, memory_order_release);
            break;
        }
    }
    return 0;
}

/* After fork only the forking thread exists in the child. */
static void forget_workers(void) {
    static const thread_mutex fresh_lock = THREAD_MUTEX;
    static const thread_condition fresh_condition = THREAD_CONDITION;
    job_lock = sleep_lock = fresh_lock;
    wake = fresh_condition;
    n_workers = 0;
    atomic_store(&sleepers, 0);
    atomic_store(&left, 0);
    atomic_fetch_or(&ticket, CLOSED);
}

static void register_at_fork(void) { thread_at_fork(NULL, NULL, forget_workers); }

static void start_workers(int wanted) {
    while (n_workers < wanted) {
        uint64_t *first_ticket = malloc(sizeof *first_ticket);
        if (!first_ticket)
            break;
        *first_ticket = atomic_load(&ticket);
        if (!thread_start(worker, first_ticket)) {
            free(first_ticket); /* no thread to be had: the others, or the caller, do the work */
            break;
        }
        n_workers++;
    }
}

void fnn_parallel(fnn_task_fn task, void *context, ptrdiff_t n_tasks, int n_threads) {
    if (n_threads > FNN_MAX_THREADS)
        n_threads = FNN_MAX_THREADS;
    if (n_threads > n_tasks)
        n_threads = (int)n_tasks;
    if (n_threads <= 1 || !thread_try_lock(&job_lock)) {
        for (ptrdiff_t i = 0; i < n_tasks; i++)
            task(context, i, 0);
        return;
    }
    thread_once(&at_fork_once, register_at_fork);
    start_workers(n_threads - 1);

    job.task = task;
    job.context = context;
    job.n_tasks = n_tasks;
    job.n_threads = n_threads;
    job.fpenv = fnn_fpenv_now();
    atomic_store_explicit(&next_task, 0, memory_order_relaxed);
    atomic_store_explicit(&left, 0, memory_order_relaxed);
    const uint64_t number = atomic_load_explicit(&ticket, memory_order_relaxed) / (2 * CLOSED) + 1;
    atomic_store(&ticket, number * (2 * CLOSED));
    if (atomic_load(&sleepers)) {
        thread_lock(&sleep_lock);
        thread_wake_all(&wake);
        thread_unlock(&sleep_lock);
    }

    run_tasks(0);
    const int joined = (int)(atomic_fetch_or(&ticket, CLOSED) & JOINED);
    for (int spins = 0; atomic_load_explicit(&left, memory_order_acquire) < joined; spins++)
        if (spins < SPINS)
            spin_pause();
        else
            thread_yield();
    thread_unlock(&job_lock);
}
