/* Drives the thread pool and the gate from many threads at once: tools/sanitize.py thread, and tools/cross_check.py on other
   platforms. The tasks write plain memory that others read later, so that a missing order between them is a data race for
   ThreadSanitizer, and a hang is an alarm, or, where there are no alarms and no forks, for the caller to notice. It may not
   know how pool.c and gate.c do their work. */

#define _POSIX_C_SOURCE 200809L

#include "fnn.h"

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
