/*
 * python/ring.c - the methods of kemu.native.Memory that ring bells and read the trace rings.
 */
#include "py.h"

static struct kemu_cpu *cpu_of(Memory *m, PyObject *arg)
{
	u64 id;

	if (!as_word(arg, &id))
		return NULL;
	if (id < m->k.nr_cpus)
		return &m->k.cpus[id];
	fail(KEMU_RANGE);
	return NULL;
}

PyObject *Memory_kick(Memory *m, PyObject *arg)
{
	struct kemu_cpu *cpu = cpu_of(m, arg);

	if (!cpu)
		return NULL;
	kemu_kick(&m->k, cpu);
	Py_RETURN_NONE;
}

PyObject *Memory_send_reschedule(Memory *m, PyObject *arg)
{
	struct kemu_cpu *cpu = cpu_of(m, arg);

	if (!cpu)
		return NULL;
	kemu_send_reschedule(&m->k, cpu);
	Py_RETURN_NONE;
}

PyObject *Memory_ring_monitor(Memory *m, PyObject *arg)
{
	struct kemu_cpu *cpu = cpu_of(m, arg);
	void *host;

	if (!cpu)
		return NULL;
	host = kemu_host.release();
	kemu_ring(&cpu->monitor_bell);
	kemu_host.acquire(host);
	Py_RETURN_NONE;
}

/* wait_monitor(cpu, timeout in ns): sleep until the CPU's monitor bell rings.  A spurious
 * return is part of the deal: the caller looks at everything it serves. */
PyObject *Memory_wait_monitor(Memory *m, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[2], *bell;
	void *host;

	if (!as_words(args, nargs, 2, v))
		return NULL;
	if (v[0] >= m->k.nr_cpus)
		return fail(KEMU_RANGE);
	bell = &m->k.cpus[v[0]].monitor_bell;
	host = kemu_host.release();
	kemu_sleep_once(bell, kemu_now() + (v[1] < KEMU_NEVER / 2 ? v[1] : KEMU_NEVER / 2));
	kemu_host.acquire(host);
	if (PyErr_CheckSignals())
		return NULL;
	Py_RETURN_NONE;
}

/* ring_task(slot): after a store that the task's thread waits to see. */
PyObject *Memory_ring_task(Memory *m, PyObject *arg)
{
	u64 slot;
	void *host;

	if (!as_word(arg, &slot))
		return NULL;
	if (slot >= m->k.nr_tasks)
		return fail(KEMU_RANGE);
	host = kemu_host.release();
	kemu_ring(&m->k.tasks[slot].bell);
	kemu_host.acquire(host);
	Py_RETURN_NONE;
}

PyObject *Memory_wake_all(Memory *m, PyObject *unused)
{
	(void)unused;
	kemu_wake_all(&m->k);
	Py_RETURN_NONE;
}

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
 * events(cpu, since): (head, [event, ...]) of the ring from number `since` on.
 * An event is (ns, id, cpu, pid, comm, subject pid or -1, subject comm, a, b, c).
 */
PyObject *Memory_events(Memory *m, PyObject *const *args, Py_ssize_t nargs)
{
	struct kemu_event *ring, copy;
	u64 v[2], head, first;
	PyObject *list;

	if (!as_words(args, nargs, 2, v))
		return NULL;
	if (v[0] >= m->k.nr_cpus)
		return fail(KEMU_RANGE);
	list = PyList_New(0);
	head = load_acquire(&m->k.cpus[v[0]].ring_head);
	first = head > KEMU_NR_EVENTS ? head - KEMU_NR_EVENTS : 0;
	ring = kemu_ring_of(&m->k, v[0]);
	for (u64 i = v[1] > first ? v[1] : first; list && i < head; i++) {
		PyObject *item;

		copy = ring[i % KEMU_NR_EVENTS];
		smp_mb();
		/* Overwritten while it was read: the writer is KEMU_NR_EVENTS ahead. */
		if (load_acquire(&m->k.cpus[v[0]].ring_head) >= i + KEMU_NR_EVENTS)
			continue;
		item = event(&copy);
		if (!item || PyList_Append(list, item))
			Py_CLEAR(list);
		Py_XDECREF(item);
	}
	return list ? Py_BuildValue("(KN)", head, list) : NULL;
}
