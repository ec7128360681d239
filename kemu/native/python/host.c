/*
 * python/host.c - what a thread asks of the host: the time, its core, a fence, its parent.
 *
 * Any thread may call these functions, whether it is a task or not.
 */
#include "py.h"

#define MAX_HANDOVERS	1000000ULL
#define MAX_HANDOVER_NS	10000000000ULL	/* no signal interrupts the caller meanwhile */

static PyObject *py_now_ns(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return from_word(kemu_clock(kemu_self.k));
}

static PyObject *py_getcpu(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return PyLong_FromLong(kemu_getcpu());
}

static PyObject *py_smp_mb(PyObject *module, PyObject *unused)
{
	int status = kemu_full_barrier(&kemu_self);

	(void)module, (void)unused;
	return done(status);
}

static PyObject *py_smp_wmb(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	kemu_write_barrier(&kemu_self);
	Py_RETURN_NONE;
}

static PyObject *py_smp_rmb(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	kemu_read_barrier(&kemu_self);
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

static PyObject *list_of_words(const u64 *words, u64 n)
{
	PyObject *list = PyList_New((Py_ssize_t)n);

	for (u64 i = 0; list && i < n; i++) {
		PyObject *word = from_word(words[i]);

		if (!word) {
			Py_DECREF(list);
			return NULL;
		}
		PyList_SetItem(list, (Py_ssize_t)i, word);
	}
	return list;
}

/* handover(core_a, core_b, n, budget_ns, sleeping): drops the interpreter's lock meanwhile. */
static PyObject *py_handover(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	PyObject *list = NULL;
	u64 v[5], *took, done = 0;
	int status;

	(void)module;
	if (!as_words(args, nargs, 5, v))
		return NULL;
	if (v[0] >= KEMU_MAX_CORES || v[1] >= KEMU_MAX_CORES || v[0] == v[1] ||
	    !v[2] || v[2] > MAX_HANDOVERS || v[3] > MAX_HANDOVER_NS)
		return fail(KEMU_RANGE);
	took = PyMem_Calloc(v[2], sizeof(*took));
	if (!took)
		return PyErr_NoMemory();
	Py_BEGIN_ALLOW_THREADS
	status = kemu_handover(v[0], v[1], v[2], v[3], v[4], took, &done);
	Py_END_ALLOW_THREADS
	list = status < 0 ? fail(status) : list_of_words(took, done);
	PyMem_Free(took);
	return list;
}

PyMethodDef host_functions[] = {
	NOARGS("now_ns", py_now_ns,
	       "CLOCK_MONOTONIC, in nanoseconds; under GATE_CONTROL the chooser's clock."),
	NOARGS("getcpu", py_getcpu, "The host core that the thread runs on."),
	NOARGS("smp_mb", py_smp_mb, "A full barrier."),
	NOARGS("smp_wmb", py_smp_wmb, "A barrier between the stores before it and those after it."),
	NOARGS("smp_rmb", py_smp_rmb, "A barrier between the loads before it and those after it."),
	NOARGS("die_with_parent", py_die_with_parent,
	       "Have the host send SIGKILL when the parent's thread ends."),
	FAST("handover", py_handover, "core_a, core_b, n, budget_ns, sleeping",
	     "Times up to n bare round trips between two host cores, four hand-overs each.\n"
	     "Returns a list of nanoseconds."),
	FAST("pin", py_pin, "tid, core", "Bind a host thread to a host core."),
	{ 0 },
};
