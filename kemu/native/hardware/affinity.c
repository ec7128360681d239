/*
 * affinity.c - the host core that a thread may use, and the core that it runs on.
 *
 * A thread is named by its host tid.  So the CPU that switches to a task can move the task's
 * thread, whatever process that thread is in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hardware.h"

int kemu_pin(u64 tid, u64 core)
{
	cpu_set_t *set;
	size_t size;
	int status, error;

	/* Both may come from corrupt shared memory: refuse a huge set, and a tid that would be cut. */
	if (core >= KEMU_MAX_CORES || tid > INT_MAX) {
		errno = EINVAL;
		return KEMU_OSERROR;
	}
	set = CPU_ALLOC(core + 1);
	size = CPU_ALLOC_SIZE(core + 1);
	if (!set)
		return KEMU_OSERROR;
	CPU_ZERO_S(size, set);
	CPU_SET_S(core, size, set);
	status = sched_setaffinity((pid_t)tid, size, set) ? KEMU_OSERROR : KEMU_OK;
	error = errno;
	CPU_FREE(set);
	errno = error;
	return status;
}

u64 kemu_tid(void)
{
	return (u64)syscall(SYS_gettid);
}

int kemu_getcpu(void)
{
	return sched_getcpu();
}
