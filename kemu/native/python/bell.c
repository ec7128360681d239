/*
 * python/bell.c - the methods of kemu.native.Memory that notify a thread or a CPU.
 *
 * hardware/bell.c has the protocol of a bell.  hardware/cpu.c has the protocol of a kick.
 */
#include "py.h"

PyObject *Memory_kick(Memory *m, PyObject *arg)
{
	struct kemu_cpu *cpu = as_cpu(&m->k, arg);

	if (!cpu)
		return NULL;
	kemu_kick(&m->k, cpu);
	Py_RETURN_NONE;
}

PyObject *Memory_send_reschedule(Memory *m, PyObject *arg)
{
	struct kemu_cpu *cpu = as_cpu(&m->k, arg);

	if (!cpu)
		return NULL;
	kemu_send_reschedule(&m->k, cpu);
	Py_RETURN_NONE;
}

PyObject *Memory_notify_monitor(Memory *m, PyObject *arg)
{
	struct kemu_cpu *cpu = as_cpu(&m->k, arg);
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
	struct kemu_cpu *cpu;
	u64 v[2];
	void *host;

	if (!as_words(args, nargs, 2, v))
		return NULL;
	cpu = cpu_in(&m->k, v[0]);
	if (!cpu)
		return NULL;
	host = kemu_host.release();
	kemu_sleep_once(&cpu->monitor_bell, kemu_now() + (v[1] < KEMU_NEVER / 2 ? v[1] : KEMU_NEVER / 2));
	kemu_host.acquire(host);
	if (PyErr_CheckSignals())
		return NULL;
	Py_RETURN_NONE;
}

/* notify_task(slot): the caller has stored what the task's thread waits for. */
PyObject *Memory_notify_task(Memory *m, PyObject *arg)
{
	struct kemu_task *t = as_task(&m->k, arg);
	void *host;

	if (!t)
		return NULL;
	host = kemu_host.release();
	kemu_notify(&t->bell);
	kemu_host.acquire(host);
	Py_RETURN_NONE;
}

PyObject *Memory_notify_all(Memory *m, PyObject *unused)
{
	(void)unused;
	kemu_notify_all(&m->k);
	Py_RETURN_NONE;
}
