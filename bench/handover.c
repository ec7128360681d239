/*
 * handover.c - the least that a park and unpark can cost: two processes on two
 * cores hand over to each other four times, with nothing in between.
 *
 *	handover spin|futex CORE CORE WARM_UP N  >  N 64-bit numbers, nanoseconds
 *
 *	word	<- how often its sender has handed over (release); its receiver
 *		   waits until it has come so far (acquire)
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct word { _Alignas(128) _Atomic uint32_t count; };

static bool sleeping;

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void give(struct word *w)
{
	atomic_fetch_add_explicit(&w->count, 1, memory_order_release);
	if (sleeping)
		syscall(SYS_futex, &w->count, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void take(struct word *w, uint32_t wanted)
{
	uint32_t seen;

	while ((seen = atomic_load_explicit(&w->count, memory_order_acquire)) != wanted)
		if (sleeping)
			syscall(SYS_futex, &w->count, FUTEX_WAIT, seen, NULL, NULL, 0);
		else
			relax();
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("sched_setaffinity");
		exit(1);
	}
}

static void worker(struct word *there, struct word *back, uint32_t trips)
{
	for (uint32_t i = 1; i <= trips; i++) {
		take(there, 2 * i - 1);		/* unparked */
		give(back);			/* acknowledged */
		take(there, 2 * i);		/* asked to park */
		give(back);			/* parked */
	}
}

static void caller(struct word *there, struct word *back, uint64_t *took, uint32_t trips)
{
	for (uint32_t i = 1; i <= trips; i++) {
		uint64_t began = now();

		give(there);
		take(back, 2 * i - 1);
		give(there);
		take(back, 2 * i);
		took[i - 1] = now() - began;
	}
}

int main(int argc, char **argv)
{
	if (argc != 6 || (strcmp(argv[1], "spin") && strcmp(argv[1], "futex"))) {
		fprintf(stderr, "usage: %s spin|futex CORE CORE WARM_UP N\n", argv[0]);
		return 64;
	}
	uint32_t warm_up = atoi(argv[4]), n = atoi(argv[5]);
	uint64_t *took = calloc(warm_up + n, sizeof(*took));
	struct word *words = mmap(NULL, 2 * sizeof(*words), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (!took || words == MAP_FAILED)
		return 1;
	sleeping = !strcmp(argv[1], "futex");
	pid_t child = fork();
	if (child < 0)
		return 1;
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(atoi(argv[3]));
		worker(&words[0], &words[1], warm_up + n);
		_exit(0);
	}
	pin(atoi(argv[2]));
	caller(&words[0], &words[1], took, warm_up + n);
	waitpid(child, NULL, 0);
	return fwrite(took + warm_up, sizeof(*took), n, stdout) != n;
}
