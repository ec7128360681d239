/*
 * python/host.c - what a thread asks of the host: the time, its core, a fence, its parent.
 *
 * Any thread may call these functions, whether it is a task or not.
 */
#include "py.h"

static PyObject *py_now_ns(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return from_word(kemu_now());
}

static PyObject *py_getcpu(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return PyLong_FromLong(kemu_getcpu());
}

static PyObject *py_smp_mb(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	smp_mb();
	Py_RETURN_NONE;
}

static PyObject *py_pin(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[2];

	(void)module;
	if (!as_words(args, nargs, 2, v))
		return NULL;
	if (v[0] > 0x7fffffff || v[1] >= KEMU_MAX_CORES)
		return fail(KEMU_RANGE);
	return done(kemu_pin(v[0], v[1]));
}

static PyObject *py_die_with_parent(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return done(kemu_die_with_parent());
}

PyMethodDef host_functions[] = {
	NOARGS("now_ns", py_now_ns, "CLOCK_MONOTONIC, in nanoseconds."),
	NOARGS("getcpu", py_getcpu, "The host core the thread is on."),
	NOARGS("smp_mb", py_smp_mb, "A full barrier."),
	NOARGS("die_with_parent", py_die_with_parent, "SIGKILL when the parent's thread ends."),
	FAST("pin", py_pin, "tid, core", "Bind a host thread to a host core."),
	{ 0 },
};
