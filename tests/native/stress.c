/*
 * stress.c - the hardware under contention, to be built with a sanitizer.
 *
 * A run ends with status 0, or by a failed CHECK, a sanitizer's report, or the
 * alarm: a lost wake-up shows itself as a program that never ends.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stress.h"

#define ALARM_S	120

void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

struct kemu *build(u64 nr_cpus, u64 nr_tasks, u64 heap, u64 arena)
{
	struct kemu *k = calloc(1, sizeof(*k));

	CHECK(k);
	k->size = kemu_size(nr_cpus, nr_tasks, heap, arena);
	k->base = aligned_alloc(4096, k->size);
	CHECK(k->base);
	memset(k->base, 0, k->size);
	CHECK(kemu_format(k, nr_cpus, nr_tasks, heap, arena) == KEMU_OK);
	return k;
}

void scrap(struct kemu *k)
{
	free(k->base);
	free(k);
}

struct place {
	pthread_t thread;
	u64 number;
	member fn;
	void *arg;
	pthread_barrier_t *start;
};

static void *run(void *arg)
{
	struct place *p = arg;

	pthread_barrier_wait(p->start);
	p->fn(p->number, p->arg);
	return NULL;
}

void crowd(u64 nr, member fn, void *arg)
{
	struct place *places = calloc(nr, sizeof(*places));
	pthread_barrier_t start;

	CHECK(places && !pthread_barrier_init(&start, NULL, (unsigned int)nr));
	for (u64 i = 0; i < nr; i++) {
		places[i] = (struct place) { .number = i, .fn = fn, .arg = arg, .start = &start };
		CHECK(!pthread_create(&places[i].thread, NULL, run, &places[i]));
	}
	for (u64 i = 0; i < nr; i++)
		CHECK(!pthread_join(places[i].thread, NULL));
	pthread_barrier_destroy(&start);
	free(places);
}

u64 name_word(const char *name)
{
	u64 word = 0;

	memcpy(&word, name, strnlen(name, sizeof(word)));
	return word;
}

struct kemu_self *become(struct kemu *k, u64 slot, u64 cpu, const char *name)
{
	struct kemu_task *t = &k->tasks[slot];

	store(&t->cpu, cpu);
	store(&t->comm0, name_word(name));
	store(&t->tid, kemu_tid());
	kemu_self = (struct kemu_self) { .k = k, .task = t, .thread = t };
	return &kemu_self;
}

u64 dice(u64 *seed)
{
	u64 x = *seed ? *seed : 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *seed = x;
}

int main(void)
{
	static const struct { const char *name; void (*run)(void); } programs[] = {
		{ "locks", stress_locks }, { "greedy", stress_greedy }, { "bells", stress_bells },
		{ "heap", stress_heap }, { "slots", stress_slots }, { "symbols", stress_symbols },
		{ "turns", stress_turns }, { "wake-ups", stress_wakeups },
		{ "schedule", stress_sched }, { "holds", stress_holds }, { "quiet", stress_quiet },
		{ "panic", stress_panic },
	};

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		alarm(ALARM_S);
		printf("%s\n", programs[i].name);
		fflush(stdout);
		programs[i].run();
	}
	return 0;
}
