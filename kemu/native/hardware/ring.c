/*
 * ring.c - a trace ring per CPU.
 *
 * A ring has one writer at a time: the task that the CPU runs.  The turn that passes from
 * task to task (kemu_switch_to()) orders the writers.  head counts all events that were ever
 * written.  A reader that finds head more than KEMU_NR_EVENTS ahead knows how many events it
 * lost.  Time is CLOCK_MONOTONIC, on which all host cores agree.
 *
 * The writer writes an event before head counts it (release), so a reader sees whole events.
 * The exception is an event that the writer overwrites while it is read: therefore the reader
 * reads head again afterwards.
 */
#include "hardware.h"

struct kemu_event *kemu_ring_of(struct kemu *k, u64 cpu)
{
	return (struct kemu_event *)(k->base + k->rings) + cpu * KEMU_NR_EVENTS;
}

void kemu_trace(struct kemu_self *s, u64 id, struct kemu_task *subject, u64 a, u64 b, u64 c)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	u64 head = cpu->ring_head, nr = (u64)(cpu - s->k->cpus);
	struct kemu_event *e = kemu_ring_of(s->k, nr) + head % KEMU_NR_EVENTS;

	*e = (struct kemu_event) {
		.ns = kemu_now(), .id = id, .cpu = nr,
		.pid = load(&s->task->pid), .comm0 = load(&s->task->comm0), .comm1 = load(&s->task->comm1),
		.a = a, .b = b, .c = c,
	};
	if (subject) {
		e->subject_pid = load(&subject->pid);
		e->subject_comm0 = load(&subject->comm0);
		e->subject_comm1 = load(&subject->comm1);
	}
	store_release(&cpu->ring_head, head + 1);
}
