/*
 * gate.c - what a CPU does before an operation takes effect, if something is armed.
 *
 * header.gate is one word that every operation reads.  It is usually zero, which costs one
 * predictable branch.  What can be armed, from simplest to strongest: the panic, the trace,
 * jitter (jitter.c), holds (hold.c), the chooser (chooser.c).
 *
 *	header.gate	<- GATE_PANIC: by the task that panics; GATE_QUIESCE: see quiet.c;
 *			   GATE_CONTROL: see chooser.c; the others: by the script or the
 *			   controller (fetch_or, fetch_and)
 *
 * Locks: none.  Callers: every operation on shared memory; point().
 */
#include <string.h>

#include "hardware.h"

#define NAMED_POINTS	(GATE_PANIC | GATE_TRACE | GATE_HOLD | GATE_JITTER | GATE_CONTROL)

/* Called before an operation, if header.gate is not zero. */
int kemu_gate(struct kemu_self *s, struct kemu *k, u64 op, u64 off, u64 value)
{
	u64 gate = load(&k->hdr->gate);

	if (s->k != k || !s->task)
		return KEMU_OK;		/* the controller may look at a stopped machine */
	if (gate & GATE_PANIC)
		return KEMU_STOPPED;
	if (gate & GATE_JITTER_OPS) {
		int status = kemu_jitter_at_op(s);

		if (status < 0)
			return status;
	}
	if (gate & GATE_OPS)
		kemu_trace(s, EVENT_OP, NULL, op, off, value);
	if (gate & GATE_LOCKDEP && op == OP_LOCK) {
		int status = kemu_field_lock_used(s, off);

		if (status < 0)
			return status;
	}
	if (gate & GATE_HOLD) {
		int status = kemu_hold_at(s, op, off);

		if (status < 0)
			return status;
	}
	/* A wait is a step when it ends, and kemu_wait_while() takes it. */
	if (!(gate & GATE_CONTROL) || op == OP_WAIT || op == OP_CALL)
		return KEMU_OK;
	return kemu_choose(s, op, off, value);
}

/* A named point of the kernel or of a user's race.  KEMU_PENDING: see kemu_wait_while_held(). */
int kemu_point(struct kemu_self *s, u64 point)
{
	u64 gate = load(&s->k->hdr->gate);
	int status = KEMU_OK;

	if (gate & GATE_PANIC)
		return KEMU_STOPPED;
	if (gate & GATE_CONTROL)
		status = kemu_choose_at_point(s, point);
	if (status < 0)
		return status;
	if (gate & GATE_TRACE)
		kemu_trace(s, EVENT_POINT, NULL, point, 0, 0);
	if (gate & GATE_NO_POINTS)
		return KEMU_OK;
	if (gate & GATE_HOLD)
		status = kemu_hold_at(s, OP_POINT, point);
	if (status == KEMU_OK && gate & GATE_JITTER)
		status = kemu_jitter_at_point(s, gate);
	return status;
}

/* A point of a mechanism that is in C.  Its name is looked up only if something is armed. */
int kemu_named_point(struct kemu_self *s, struct kemu_name *point)
{
	u64 index = load(&point->hint);
	int status;

	if (!(load(&s->k->hdr->gate) & NAMED_POINTS))
		return KEMU_OK;
	if (!kemu_is_symbol(s->k, point->name, index)) {
		status = kemu_symbol(s->k, point->name, strlen(point->name), &index);
		if (status < 0)
			return status;
		store(&point->hint, index);
	}
	return kemu_point(s, s->k->symbols + index * sizeof(struct kemu_symbol));
}
