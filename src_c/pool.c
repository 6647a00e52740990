/* A small pool of threads for work of microseconds. Created on first use; workers spin for a short while after a job, then
   sleep; a child after fork starts anew. One job at a time: a second caller runs its tasks itself, which gives the same
   results, since tasks do not depend on their thread. A worker computes with the caller's rounding and treatment of denormals:
   those belong to a thread, and some other library may have set them on either.

   `ticket` holds everything that decides whether a worker may join:

     bits 0 … 15   workers that have joined the job
     bit 16        closed: nobody may join any more
     bits 17 …     number of the job

   The caller writes the job, opens a ticket with the next number, works along, closes it and waits until all that had joined
   have left. A worker that wakes late finds the ticket closed and touches nothing, so a job never waits for a sleeper. It does
   wait for one that lost its CPU in the middle of a task: what that costs decides whether the next jobs are shared
   (sharing.h). */

#define _POSIX_C_SOURCE 200809L

#include "fnn.h"

#include "cpu/fpenv.h"
#include "sharing.h"
#include "threads.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { CLOSED = 1 << 16, JOINED = CLOSED - 1 };

/* How long a thread waits before it sleeps, in nanoseconds: a worker for the next job, which comes within microseconds during
   a fit and from a caller's own loop of steps, and the caller for the last tasks. Soon it offers its CPU in between: the one
   that it waits for may be on the same. A pause is 140 cycles long on one CPU and 40 on another, so the clock is asked, once
   every so many. */
enum { WORKER_SPINS = 100 * 1000, CALLER_SPINS = 50 * 1000, OFFERS = 5 * 1000, PAUSES = 32 };

static thread_mutex job_lock = THREAD_MUTEX; /* held by the caller whose job runs */
static thread_mutex sleep_lock = THREAD_MUTEX;
static thread_condition wake = THREAD_CONDITION, all_left = THREAD_CONDITION;
static thread_once_flag at_fork_once = THREAD_ONCE;
static int n_workers; /* guarded by job_lock, as is the account */
static fnn_account account = FNN_ACCOUNT;
static struct { /* who began the span, and when by its own clock */
    const void *caller;
    int64_t cpu_time;
} span;
static _Thread_local char caller_id;
static _Atomic int64_t alone_until;
static _Atomic int sleepers;

/* What several threads write, each on cache lines of its own: CPUs fetch them one at a time or in pairs. What a worker reads
   to join a job lies together. */
enum { LINES = 128 };
static struct {
    _Alignas(LINES) _Atomic uint64_t ticket;
    fnn_task_fn task;
    void *context;
    ptrdiff_t n_tasks;
    int n_threads;
    fnn_fpenv fpenv; /* of the caller */
    _Alignas(LINES) _Atomic ptrdiff_t next_task;
    _Alignas(LINES) _Atomic int left;
    _Atomic int caller_sleeps;
} job = {.ticket = CLOSED};

static inline void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Returns how many it ran. */
static ptrdiff_t run_tasks(int slot) {
    ptrdiff_t ran = 0;
    for (ptrdiff_t i; (i = atomic_fetch_add_explicit(&job.next_task, 1, memory_order_relaxed)) < job.n_tasks; ran++)
        job.task(job.context, i, slot);
    return ran;
}

/* Waits until the ticket is not `seen`, spinning first. */
static uint64_t await_ticket(uint64_t seen) {
    const int64_t start = thread_clock();
    for (int64_t waited = 0; waited < WORKER_SPINS; waited = thread_clock() - start) {
        for (int i = 0; i < PAUSES; i++) {
            const uint64_t now = atomic_load_explicit(&job.ticket, memory_order_acquire);
            if (now / (2 * CLOSED) != seen / (2 * CLOSED))
                return now;
            spin_pause();
        }
        if (waited > OFFERS)
            thread_yield();
    }
    thread_lock(&sleep_lock);
    atomic_fetch_add(&sleepers, 1);
    uint64_t now;
    while ((now = atomic_load(&job.ticket)) / (2 * CLOSED) == seen / (2 * CLOSED))
        thread_wait(&wake, &sleep_lock);
    atomic_fetch_sub(&sleepers, 1);
    thread_unlock(&sleep_lock);
    return now;
}

/* The caller may have gone to sleep meanwhile. */
static void leave(void) {
    atomic_fetch_add(&job.left, 1);
    if (atomic_load(&job.caller_sleeps)) {
        thread_lock(&sleep_lock);
        thread_wake_all(&all_left);
        thread_unlock(&sleep_lock);
    }
}

static thread_result worker(void *first_ticket) {
    uint64_t seen = *(uint64_t *)first_ticket;
    free(first_ticket);
    for (;;) {
        uint64_t now = seen = await_ticket(seen);
        while (!(now & CLOSED) && now / (2 * CLOSED) == seen / (2 * CLOSED)) {
            if (!atomic_compare_exchange_weak(&job.ticket, &now, now + 1))
                continue;
            /* Joined: the job cannot end before this worker leaves. */
            const int slot = (int)(now & JOINED) + 1;
            if (slot < job.n_threads) {
                fnn_fpenv_follow(job.fpenv);
                run_tasks(slot);
            }
            leave();
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
    wake = all_left = fresh_condition;
    n_workers = 0;
    account = (fnn_account)FNN_ACCOUNT;
    atomic_store(&alone_until, 0);
    atomic_store(&sleepers, 0);
    atomic_store(&job.left, 0);
    atomic_store(&job.caller_sleeps, 0);
    atomic_fetch_or(&job.ticket, CLOSED);
}

static void register_at_fork(void) { thread_at_fork(NULL, NULL, forget_workers); }

static void start_workers(int wanted) {
    while (n_workers < wanted) {
        uint64_t *first_ticket = malloc(sizeof *first_ticket);
        if (!first_ticket)
            break;
        *first_ticket = atomic_load(&job.ticket);
        if (!thread_start(worker, first_ticket)) {
            free(first_ticket); /* no thread to be had: the others, or the caller, do the work */
            break;
        }
        n_workers++;
    }
}

typedef struct wait_times {
    int64_t start, end;
} wait_times;

static int left_soon(int joined) {
    for (int i = 0; i < PAUSES; i++) {
        if (atomic_load_explicit(&job.left, memory_order_acquire) >= joined)
            return 1;
        spin_pause();
    }
    return 0;
}

/* Waits until all that joined have left. Asleep rather than in a loop of yields: a worker that waits for its own CPU can then
   have this one. */
static wait_times await_workers(int joined) {
    wait_times t;
    int done = left_soon(joined);
    t.start = t.end = thread_clock();
    while (!done && t.end - t.start < CALLER_SPINS) {
        if (t.end - t.start > OFFERS)
            thread_yield();
        done = left_soon(joined);
        t.end = thread_clock();
    }
    if (!done) {
        thread_lock(&sleep_lock);
        atomic_store(&job.caller_sleeps, 1);
        while (atomic_load(&job.left) < joined)
            thread_wait(&all_left, &sleep_lock);
        atomic_store(&job.caller_sleeps, 0);
        thread_unlock(&sleep_lock);
        t.end = thread_clock();
    }
    return t;
}

/* The span is over. One that several callers shared, each with a clock of its own, is taken as spent on a CPU. */
static void settle(int64_t now) {
    int64_t cpu_time = span.caller == &caller_id ? thread_cpu_clock() - span.cpu_time : INT64_MAX;
    if (cpu_time < 0) /* another thread, at the address of one that has ended */
        cpu_time = INT64_MAX;
    const int64_t alone = fnn_close_span(&account, cpu_time);
    atomic_store_explicit(&alone_until, alone ? now + alone : 0, memory_order_relaxed);
}

void fnn_parallel(fnn_task_fn task, void *context, ptrdiff_t n_tasks, int n_threads) {
    if (n_threads > FNN_MAX_THREADS)
        n_threads = FNN_MAX_THREADS;
    if (n_threads > n_tasks)
        n_threads = (int)n_tasks;
    const int64_t alone = atomic_load_explicit(&alone_until, memory_order_relaxed);
    if (n_threads <= 1 || (alone && thread_clock() < alone) || !thread_try_lock(&job_lock)) {
        for (ptrdiff_t i = 0; i < n_tasks; i++)
            task(context, i, 0);
        return;
    }
    thread_once(&at_fork_once, register_at_fork);
    start_workers(n_threads - 1);
    if (account.time <= 0) {
        span.caller = &caller_id;
        span.cpu_time = thread_cpu_clock();
    } else if (span.caller != &caller_id) {
        span.caller = NULL;
    }

    job.task = task;
    job.context = context;
    job.n_tasks = n_tasks;
    job.n_threads = n_threads;
    job.fpenv = fnn_fpenv_now();
    atomic_store_explicit(&job.next_task, 0, memory_order_relaxed);
    atomic_store_explicit(&job.left, 0, memory_order_relaxed);
    const uint64_t number = atomic_load_explicit(&job.ticket, memory_order_relaxed) / (2 * CLOSED) + 1;
    const int64_t start = thread_clock();
    int64_t awake = start;
    atomic_store(&job.ticket, number * (2 * CLOSED));
    if (atomic_load(&sleepers)) {
        thread_lock(&sleep_lock);
        thread_wake_all(&wake);
        thread_unlock(&sleep_lock);
        awake = thread_clock();
    }

    const ptrdiff_t own = run_tasks(0);
    const int joined = (int)(atomic_fetch_or(&job.ticket, CLOSED) & JOINED);
    const wait_times t = await_workers(joined);
    if (fnn_add_job(&account, n_tasks, own, t.start - awake, t.end - start))
        settle(t.end);
    thread_unlock(&job_lock);
}
