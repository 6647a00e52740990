/* Drives the thread pool and the gate from many threads at once: tools/sanitize.py thread. The tasks write plain memory that
   others read later, so that a missing order between them is a data race for ThreadSanitizer, and a hang is an alarm. It may
   not know how pool.c and gate.c do their work. */

#define _POSIX_C_SOURCE 200809L

#include "fnn.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CALLERS = 4, TASKS = 67, THREADS = 6, SECONDS = 40 };

/* ThreadSanitizer cannot bear a thread that starts in a child of several threads. */
#if defined(__SANITIZE_THREAD__)
enum { THREADS_OF_CHILD = 1 };
#else
enum { THREADS_OF_CHILD = THREADS };
#endif

static _Atomic int stop, computing;

static void require(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "races: wanted %s\n", what);
        _exit(1);
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
            nanosleep(&(struct timespec){0, 300000}, NULL);
    }
}

static void *caller(void *seed) {
    run_jobs(3000, (int)(intptr_t)seed, THREADS);
    return NULL;
}

/* --- Forks --------------------------------------------------------------------------------------------------------------- */

/* Registered before the gate's own handler, hence called behind it, as that of BLAS is. */
static void before_fork(void) { require(!atomic_load(&computing), "nobody inside the gate at a fork"); }

static void pass_gate(void) {
    fnn_gate_enter();
    atomic_fetch_add(&computing, 1);
    atomic_fetch_sub(&computing, 1);
    fnn_gate_leave();
}

static void *busy(void *seed) {
    while (!atomic_load(&stop)) {
        run_jobs(20, (int)(intptr_t)seed, THREADS);
        for (int i = 0; i < 20; i++)
            pass_gate();
    }
    return NULL;
}

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

/* --- All of it ----------------------------------------------------------------------------------------------------------- */

static void start(pthread_t *threads, int n, void *(*run)(void *), intptr_t argument, int numbered) {
    for (int i = 0; i < n; i++)
        require(pthread_create(&threads[i], NULL, run, (void *)(numbered ? i : argument)) == 0, "a thread");
}

static void join(pthread_t *threads, int n) {
    for (int i = 0; i < n; i++)
        require(pthread_join(threads[i], NULL) == 0, "a thread that ends");
}

int main(void) {
    pthread_t callers[CALLERS], forkers[CALLERS];
    alarm(SECONDS);
    require(pthread_atfork(before_fork, NULL, NULL) == 0, "a handler of forks");
    fnn_gate_open();

    start(callers, CALLERS, caller, 0, 1);
    join(callers, CALLERS);

    start(callers, CALLERS, busy, 0, 1);
    forker((void *)30);
    start(forkers, CALLERS, forker, 30, 0); /* several at the same time */
    join(forkers, CALLERS);

    /* The end of the process: the others sleep at the gate, whose closer passes. */
    fnn_gate_close();
    for (int i = 0; i < 20; i++) {
        require(!atomic_load(&computing), "nobody inside the closed gate");
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    pass_gate();
    puts("races: none");
    return 0;
}
