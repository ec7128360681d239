/*
 * python/bell.c - the methods of kemu.native.Memory that notify a thread or a CPU.
 *
 * hardware/bell.c has the protocol of a bell.  hardware/cpu.c has the protocol of a kick.
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

PyObject *Memory_notify_monitor(Memory *m, PyObject *arg)
{
	struct kemu_cpu *cpu = cpu_of(m, arg);
	void *host;

	if (!cpu)
		return NULL;
	host = kemu_host.release();
	kemu_notify(&cpu->monitor_bell);
	kemu_host.acquire(host);
	Py_RETURN_NONE;
}

/* wait_monitor(cpu, timeout in ns): sleeps until the CPU's monitor bell rings.  It may return
 * for no reason, so the caller looks at everything that it serves. */
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

/* notify_task(slot): the caller has stored what the task's thread waits for. */
PyObject *Memory_notify_task(Memory *m, PyObject *arg)
{
	u64 slot;
	void *host;

	if (!as_word(arg, &slot))
		return NULL;
	if (slot >= m->k.nr_tasks)
		return fail(KEMU_RANGE);
	host = kemu_host.release();
	kemu_notify(&m->k.tasks[slot].bell);
	kemu_host.acquire(host);
	Py_RETURN_NONE;
}

PyObject *Memory_notify_all(Memory *m, PyObject *unused)
{
	(void)unused;
	kemu_notify_all(&m->k);
	Py_RETURN_NONE;
}
