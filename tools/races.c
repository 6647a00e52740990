/* Drives the thread pool and the gate from many threads at once: tools/sanitize.py thread, and tools/cross_check.py on other
   platforms. The tasks write plain memory that others read later, so that a missing order between them is a data race for
   ThreadSanitizer, and a hang is an alarm, or, where there are no alarms and no forks, for the caller to notice. It may not
   know how pool.c and gate.c do their work. */

#define _POSIX_C_SOURCE 200809L

#include "fnn.h"

#include "sharing.h"
#include "threads.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

enum { CALLERS = 4, TASKS = 67, THREADS = 6, SECONDS = 40 };

/* ThreadSanitizer cannot bear a thread that starts in a child of several threads. */
#if defined(__SANITIZE_THREAD__)
enum { THREADS_OF_CHILD = 1 };
#else
enum { THREADS_OF_CHILD = THREADS };
#endif

static _Atomic int running, computing, helped;

static void require(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "races: wanted %s\n", what);
        _Exit(1);
    }
}

/* --- Jobs ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int done[TASKS];         /* times that each task ran */
    int by_slot[THREADS];    /* tasks of each thread */
    const int *from, *other; /* what the tasks read */
} work;

static void task(void *context, ptrdiff_t i, int slot) {
    work *w = context;
    require(slot >= 0 && slot < THREADS, "a slot below the number of threads");
    w->done[i] += w->from[i] + *w->other;
    w->by_slot[slot]++; /* a race where two threads have one slot */
}

/* The caller's task ends when a worker has run the other. */
static void await_worker(void *context, ptrdiff_t i, int slot) {
    (void)context, (void)i;
    if (slot)
        atomic_store(&helped, 1);
    while (!atomic_load(&helped))
        thread_nap(100);
}

/* --- Sharing ------------------------------------------------------------------------------------------------------------- */

/* A span of jobs of 100 µs, a tenth of it by the worker, of which one took so much longer; all in nanoseconds. */
static int64_t alone_after_span(fnn_account *account, int64_t late) {
    const int64_t own = 90000;
    for (int i = 1; !fnn_add_job(account, 10, 9, own, own + (i == 1) * late); i++)
        require(i < 100, "a span that ends");
    return fnn_close_span(account, INT64_MAX);
}

static void keep_account(void) {
    fnn_account account = FNN_ACCOUNT;
    require(alone_after_span(&account, 0) == 0 && account.credit > 0, "credit for what was gained");
    const int64_t gained = account.credit;
    require(alone_after_span(&account, gained) == 0 && account.credit > 0, "small losses that gains make up for");
    const int64_t late = 1000000, rest = late - account.credit, alone = alone_after_span(&account, late);
    require(alone > 0 && alone <= FNN_PENALTY * rest, "work alone in proportion to what was lost");
    require(account.credit == 0, "a debt that is paid by working alone");
    const int64_t again = alone_after_span(&account, late), third = alone_after_span(&account, late);
    require(again > FNN_PENALTY * late && third == 2 * again, "twice as long each time");
    for (int i = 0; i < 100; i++)
        require(alone_after_span(&account, late) <= FNN_MOST_PENALTY * late, "work alone that has an end");
    require(alone_after_span(&account, INT64_MAX / 4) == FNN_MOST_ALONE, "half a second at most");
    while (account.credit < FNN_MOST_CREDIT)
        require(alone_after_span(&account, 0) == 0, "sharing while it gains");
    require(alone_after_span(&account, FNN_MOST_CREDIT + late) <= FNN_PENALTY * late, "old losses forgotten");

    fnn_account other = FNN_ACCOUNT;
    require(fnn_add_job(&other, 8, 4, FNN_SPAN, FNN_SPAN), "a long job to be a span");
    require(fnn_close_span(&other, FNN_SPAN / 2) == 0 && other.credit == 0, "half the gain where it had half a CPU");
    require(fnn_add_job(&other, 8, 8, 9 * FNN_SPAN, 9 * FNN_SPAN), "a long job to be a span");
    require(fnn_close_span(&other, FNN_SPAN) == FNN_PENALTY * 8 * FNN_SPAN, "a loss where the caller had no CPU");
    require(!fnn_add_job(&other, 8, 0, 0, FNN_SPAN), "nothing to be told without tasks of its own");
}

typedef struct lateness {
    _Atomic int by_worker;
    int late; /* a worker's task sleeps for so many microseconds */
} lateness;

/* Long enough for a worker to wake. */
static void late_task(void *context, ptrdiff_t i, int slot) {
    lateness *l = context;
    (void)i;
    if (slot) {
        atomic_fetch_add(&l->by_worker, 1);
        thread_nap(l->late);
    }
    const int64_t start = thread_clock();
    while (thread_clock() - start < 20000)
        ;
}

static int tasks_by_worker(int late) {
    lateness l = {.late = late};
    fnn_parallel(late_task, &l, 20, 2);
    return atomic_load(&l.by_worker);
}

/* A worker that comes 20 ms late sends the caller to work alone, for a third of a second at least; but not for ever. */
static void be_late(void) {
    enum { MS = 1000 * 1000 };
    while (!tasks_by_worker(20000))
        ;
    const int64_t start = thread_clock();
    while (thread_clock() - start < 100 * MS) {
        const int helped_along = tasks_by_worker(0);
        require(!helped_along || thread_clock() - start > 300 * MS, "work alone behind a loss");
    }
    while (!tasks_by_worker(0))
        ;
}

/* --- Many jobs ----------------------------------------------------------------------------------------------------------- */

/* Every task of every job runs once, before fnn_parallel returns, and sees what its caller wrote before. */
static void run_jobs(int rounds, int seed, int most_threads) {
    int from[TASKS], other;
    for (int round = 0; round < rounds; round++) {
        const int n_tasks = (round * 7 + seed) % (TASKS + 1), n_threads = 1 + (round + seed) % most_threads;
        work w = {.from = from, .other = &other};
        other = 1;
        for (int i = 0; i < n_tasks; i++)
            from[i] = i;
        fnn_parallel(task, &w, n_tasks, n_threads);
        int sum = 0;
        for (int i = 0; i < n_tasks; i++)
            require(w.done[i] == i + 1, "each task to run once");
        for (int slot = 0; slot < THREADS; slot++)
            sum += w.by_slot[slot];
        require(sum == n_tasks, "as many tasks as there are");
        if (round % 50 == 0) /* the workers fall asleep */
            thread_nap(300);
    }
}

static thread_result caller(void *seed) {
    run_jobs(3000, (int)(intptr_t)seed, THREADS);
    atomic_fetch_sub(&running, 1);
    return 0;
}

static void pass_gate(void) {
    fnn_gate_enter();
    atomic_fetch_add(&computing, 1);
    atomic_fetch_sub(&computing, 1);
    fnn_gate_leave();
}

/* Until the end of the process. */
static thread_result busy(void *seed) {
    for (;;) {
        run_jobs(20, (int)(intptr_t)seed, THREADS);
        for (int i = 0; i < 20; i++)
            pass_gate();
    }
    return 0;
}

static void start_all(thread_result (*run)(void *)) {
    for (intptr_t seed = 0; seed < CALLERS; seed++)
        require(thread_start(run, (void *)seed), "a thread");
}

/* --- Forks --------------------------------------------------------------------------------------------------------------- */

#if !defined(_WIN32)
/* Registered before the gate's own handler, hence called behind it, as that of BLAS is. */
static void before_fork(void) { require(!atomic_load(&computing), "nobody inside the gate at a fork"); }

/* Children use pool and gate while the parent's threads go on. */
static void *forker(void *n) {
    for (intptr_t i = 0; i < (intptr_t)n; i++) {
        const pid_t child = fork();
        require(child >= 0, "a fork");
        if (child == 0) {
            alarm(SECONDS / 2);
            run_jobs(60, (int)i, THREADS_OF_CHILD);
            pass_gate();
            _exit(0);
        }
        int status;
        require(waitpid(child, &status, 0) == child && status == 0, "a child that ends well");
    }
    return NULL;
}

/* From one thread, then from several at the same time. */
static void fork_often(void) {
    pthread_t forkers[CALLERS];
    forker((void *)30);
    for (int i = 0; i < CALLERS; i++)
        require(pthread_create(&forkers[i], NULL, forker, (void *)30) == 0, "a thread");
    for (int i = 0; i < CALLERS; i++)
        require(pthread_join(forkers[i], NULL) == 0, "a thread that ends");
}

static void prepare(void) {
    alarm(SECONDS);
    require(pthread_atfork(before_fork, NULL, NULL) == 0, "a handler of forks");
}
#else
static void prepare(void) {}
static void fork_often(void) { thread_nap(300000); }
#endif

/* --- All of it ----------------------------------------------------------------------------------------------------------- */

int main(void) {
    prepare();
    fnn_gate_open();
    fnn_parallel(await_worker, NULL, 2, 2);
    keep_account();
    be_late();

    atomic_store(&running, CALLERS);
    start_all(caller);
    while (atomic_load(&running))
        thread_nap(1000);

    start_all(busy);
    fork_often();

    /* The end of the process: the others sleep at the gate, whose closer passes. */
    fnn_gate_close();
    for (int i = 0; i < 20; i++) {
        require(!atomic_load(&computing), "nobody inside the closed gate");
        thread_nap(1000);
    }
    pass_gate();
    puts("races: none");
    return 0;
}
