/* When a job is worth sharing with the pool's threads, learned from what sharing has cost. Somebody else may be on a worker's
   CPU: then the worker stops in the middle of a task, for milliseconds, and the caller waits for it. Nothing can be done about
   that wait, but the next one can be avoided. So an account is kept of the time that was gained over working alone, or lost:

     shared     jobs are added up to spans of SPAN; credit grows by what a span gained, up to MOST_CREDIT, or shrinks
     overdrawn  the caller works alone, PENALTY times as long as what was lost, then it tries again
     again      without having been at MOST_CREDIT in between: twice as long as that, and so on up to MOST_PENALTY times

   So on a machine that is never quiet one part in PENALTY is lost, and soon less, while on a quiet one a single hiccup costs
   some milliseconds of work alone. What working alone would have taken is told by the caller's own tasks, in time during which
   it had a CPU: where it had none, a worker may have had it, or may have kept it from one that was free. No clock and no
   threads in here: times, in nanoseconds, come as arguments. */
#ifndef FNN_SHARING_H
#define FNN_SHARING_H

#include <stdint.h>

#define FNN_SPAN INT64_C(500000)
#define FNN_MOST_CREDIT INT64_C(4000000)
#define FNN_MOST_ALONE INT64_C(500000000) /* what was stopped for an hour was not slow for an hour */
enum { FNN_PENALTY = 12, FNN_MOST_PENALTY = 48 };

typedef struct fnn_account {
    int64_t credit;
    int penalty;
    /* The jobs of this span: what they took, what the caller's own tasks took, and all tasks at that rate. */
    double time, own, alone;
} fnn_account;

#define FNN_ACCOUNT {0, FNN_PENALTY, 0, 0, 0}

/* Adds a job that took time, in which the caller ran own_tasks of n_tasks in own_time. Returns whether the span is over. */
static inline int fnn_add_job(fnn_account *a, int64_t n_tasks, int64_t own_tasks, int64_t own_time, int64_t time) {
    if (own_tasks > 0) { /* else there is nothing to compare with */
        a->time += (double)time;
        a->own += (double)own_time;
        a->alone += (double)own_time * (double)n_tasks / (double)own_tasks;
    }
    return a->time >= FNN_SPAN;
}

/* Closes the span, during which the caller had a CPU for cpu_time, and returns how long it should now work alone. */
static inline int64_t fnn_close_span(fnn_account *a, int64_t cpu_time) {
    const double on_cpu = a->own > (double)cpu_time ? (double)cpu_time / a->own : 1;
    const double gained = a->alone * on_cpu - a->time;
    a->time = a->own = a->alone = 0;
    const int64_t left = FNN_MOST_CREDIT - a->credit;
    if (gained >= (double)left) {
        a->credit = FNN_MOST_CREDIT;
        a->penalty = FNN_PENALTY;
        return 0;
    }
    const double balance = (double)a->credit + gained;
    a->credit = balance > 0 ? (int64_t)balance : 0;
    if (balance >= 0)
        return 0;
    const double alone = -balance * a->penalty;
    if (a->penalty < FNN_MOST_PENALTY)
        a->penalty *= 2;
    return alone < (double)FNN_MOST_ALONE ? (int64_t)alone : FNN_MOST_ALONE;
}

#endif
