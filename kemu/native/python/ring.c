/*
 * python/ring.c - the method of kemu.native.Memory that reads a trace ring.
 */
#include <string.h>

#include "py.h"

static PyObject *comm(u64 comm0, u64 comm1)
{
	char text[KEMU_COMM_LEN + 1] = { 0 };

	memcpy(text, &comm0, 8);
	memcpy(text + 8, &comm1, 8);
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *event(const struct kemu_event *e)
{
	return Py_BuildValue("(KiiLNLNLLL)", e->ns, (int)e->id, (int)e->cpu,
			     e->pid, comm(e->comm0, e->comm1),
			     e->subject_comm0 ? (long long)e->subject_pid : -1LL,
			     comm(e->subject_comm0, e->subject_comm1), e->a, e->b, e->c);
}

/*
 * events(cpu, since): returns (head, [event, ...]); the list begins at event number `since`.
 * An event is (ns, id, cpu, pid, comm, subject pid or -1, subject comm, a, b, c).
 */
PyObject *Memory_events(Memory *m, PyObject *const *args, Py_ssize_t nargs)
{
	struct kemu_event *ring, copy;
	struct kemu_cpu *cpu;
	u64 v[2], head, first;
	PyObject *list;

	if (!as_words(args, nargs, 2, v))
		return NULL;
	cpu = cpu_in(&m->k, v[0]);
	if (!cpu)
		return NULL;
	list = PyList_New(0);
	head = load_acquire(&cpu->ring_head);
	first = head > KEMU_NR_EVENTS ? head - KEMU_NR_EVENTS : 0;
	ring = kemu_ring_of(&m->k, v[0]);
	for (u64 i = v[1] > first ? v[1] : first; list && i < head; i++) {
		PyObject *item;

		copy = ring[i % KEMU_NR_EVENTS];
		smp_mb();
		/* The writer is KEMU_NR_EVENTS ahead, so it may have overwritten the copy. */
		if (load_acquire(&cpu->ring_head) >= i + KEMU_NR_EVENTS)
			continue;
		item = event(&copy);
		if (!item || PyList_Append(list, item))
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list ? Py_BuildValue("(KN)", head, list) : NULL;
}
