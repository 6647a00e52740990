/* What pool.c and gate.c need of threads, by one name for POSIX and Windows. Where there is no fork, nothing follows one. Define
   _POSIX_C_SOURCE before the first include. */
#ifndef FNN_THREADS_H
#define FNN_THREADS_H

#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <process.h>
#include <stdint.h>

typedef SRWLOCK thread_mutex;
typedef CONDITION_VARIABLE thread_condition;
typedef INIT_ONCE thread_once_flag;
typedef unsigned thread_result;
#define THREAD_MUTEX SRWLOCK_INIT
#define THREAD_CONDITION CONDITION_VARIABLE_INIT
#define THREAD_ONCE INIT_ONCE_STATIC_INIT

static inline void thread_lock(thread_mutex *mutex) { AcquireSRWLockExclusive(mutex); }
static inline int thread_try_lock(thread_mutex *mutex) { return TryAcquireSRWLockExclusive(mutex); }
static inline void thread_unlock(thread_mutex *mutex) { ReleaseSRWLockExclusive(mutex); }
static inline void thread_wait(thread_condition *condition, thread_mutex *mutex) {
    SleepConditionVariableSRW(condition, mutex, INFINITE, 0);
}
static inline void thread_wake_all(thread_condition *condition) { WakeAllConditionVariable(condition); }

static inline BOOL CALLBACK thread_call_once(INIT_ONCE *flag, void *call, void **nothing) {
    (void)flag, (void)nothing;
    (*(void (**)(void))call)();
    return TRUE;
}
static inline void thread_once(thread_once_flag *flag, void (*call)(void)) {
    InitOnceExecuteOnce(flag, thread_call_once, &call, NULL);
}
static inline void thread_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
    (void)before, (void)in_parent, (void)in_child;
}

/* Ctrl-C comes on a thread of its own. */
static inline int thread_start(thread_result (*run)(void *), void *argument) {
    const uintptr_t thread = _beginthreadex(NULL, 0, run, argument, 0, NULL);
    return thread && CloseHandle((HANDLE)thread);
}
static inline void thread_yield(void) { SwitchToThread(); }
static inline void thread_nap(int microseconds) { Sleep((DWORD)(microseconds + 999) / 1000); }
static inline int64_t thread_clock(void) {
    LARGE_INTEGER ticks, a_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&a_second);
    return (int64_t)((double)ticks.QuadPart * (1e9 / (double)a_second.QuadPart));
}
/* Windows counts a thread's time in units of 16 ms, of no use here: as if it always had a CPU. */
static inline int64_t thread_cpu_clock(void) { return thread_clock(); }

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

typedef pthread_mutex_t thread_mutex;
typedef pthread_cond_t thread_condition;
typedef pthread_once_t thread_once_flag;
typedef void *thread_result;
#define THREAD_MUTEX PTHREAD_MUTEX_INITIALIZER
#define THREAD_CONDITION PTHREAD_COND_INITIALIZER
#define THREAD_ONCE PTHREAD_ONCE_INIT

static inline void thread_lock(thread_mutex *mutex) { pthread_mutex_lock(mutex); }
static inline int thread_try_lock(thread_mutex *mutex) { return !pthread_mutex_trylock(mutex); }
static inline void thread_unlock(thread_mutex *mutex) { pthread_mutex_unlock(mutex); }
static inline void thread_wait(thread_condition *condition, thread_mutex *mutex) {
    pthread_cond_wait(condition, mutex);
}
static inline void thread_wake_all(thread_condition *condition) { pthread_cond_broadcast(condition); }
static inline void thread_once(thread_once_flag *flag, void (*call)(void)) { pthread_once(flag, call); }
static inline void thread_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
    pthread_atfork(before, in_parent, in_child);
}

/* It takes no signals: Ctrl-C belongs to the interpreter's threads. Its stack has room for the panels of kernels, which musl's
   128 KB would hardly have. */
static inline int thread_start(thread_result (*run)(void *), void *argument) {
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes))
        return 0;
    pthread_attr_setstacksize(&attributes, 1 << 20);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int started = !pthread_create(&thread, &attributes, run, argument) && !pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}
static inline void thread_yield(void) { sched_yield(); }
static inline void thread_nap(int microseconds) {
    nanosleep(&(struct timespec){microseconds / 1000000, microseconds % 1000000 * 1000L}, NULL);
}
/* Nanoseconds from some point on, never set back. */
static inline int64_t thread_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
/* Nanoseconds that this thread has had a CPU. */
static inline int64_t thread_cpu_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
#endif
