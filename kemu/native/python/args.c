/*
 * python/args.c - the arguments that are rare or wrong; args.h has the others.
 */
#include "py.h"

/* Always false, so that a method can return it. */
bool wrong_count(Py_ssize_t given, Py_ssize_t least, Py_ssize_t most)
{
	if (least == most)
		PyErr_Format(PyExc_TypeError, "takes %zd arguments, %zd given", most, given);
	else
		PyErr_Format(PyExc_TypeError, "takes %zd to %zd arguments, %zd given", least, most, given);
	return false;
}

/* Parses the arguments of a view: (memory, other).  Both are borrowed; the memory is mapped. */
Memory *memory_and(PyObject *args, PyObject *kwds, PyObject **other)
{
	PyObject *memory;

	if (kwds && PyDict_Size(kwds)) {
		PyErr_SetString(PyExc_TypeError, "takes no keyword arguments");
		return NULL;
	}
	if (!PyArg_ParseTuple(args, "O!O", Memory_Type, &memory, other))
		return NULL;
	if (!((Memory *)memory)->k.base) {
		fail(KEMU_RANGE);
		return NULL;
	}
	return (Memory *)memory;
}

bool memory_and_word(PyObject *args, PyObject *kwds, Memory **memory, u64 *value)
{
	PyObject *arg;

	*memory = memory_and(args, kwds, &arg);
	return *memory && as_word(arg, value);
}
