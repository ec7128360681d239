/*
 * stress.h - what the stress programs share: a memory, a crowd of threads, CHECK.
 *
 * Plain variables in these files are deliberate: the lock, the bell or the turn
 * under test must order them, and the thread sanitizer says when it does not.
 */
#ifndef KEMU_STRESS_H
#define KEMU_STRESS_H

#include "sched/sched.h"

#define CHECK(cond) \
	do { if (!(cond)) check_failed(__FILE__, __LINE__, #cond); } while (0)

_Noreturn void check_failed(const char *file, int line, const char *what);

/* A formatted memory of its own; give it back with scrap(). */
struct kemu *build(u64 nr_cpus, u64 nr_tasks, u64 heap, u64 arena);
void scrap(struct kemu *k);

/* Runs fn(number, arg) in nr threads at once; returns when all have. */
typedef void (*member)(u64 number, void *arg);
void crowd(u64 nr, member fn, void *arg);

/* The calling thread becomes a task: slot, on a CPU, by a name of up to 8 letters. */
struct kemu_self *become(struct kemu *k, u64 slot, u64 cpu, const char *name);
u64 name_word(const char *name);

/* xorshift: every thread its own stream. */
u64 dice(u64 *seed);

/* One program after another: stress.c */
void stress_locks(void);
void stress_greedy(void);
void stress_bells(void);
void stress_heap(void);
void stress_slots(void);
void stress_symbols(void);
void stress_turns(void);
void stress_wakeups(void);
void stress_sched(void);
void stress_holds(void);
void stress_quiet(void);
void stress_panic(void);

#endif
