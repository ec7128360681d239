/*
 * python/point.c - point() and trace(): named points, and events for the trace ring.
 */
#include "py.h"

static PyObject *point_names;

/* set_point_names(mapping): the mapping gives the symbol of each point's name. */
static PyObject *py_set_point_names(PyObject *module, PyObject *mapping)
{
	(void)module;
	replace_object(&point_names, mapping);
	Py_RETURN_NONE;
}

static bool point_number(PyObject *arg, u64 *point)
{
	PyObject *number;
	bool known;

	if (PyLong_Check(arg) || !point_names)
		return as_word(arg, point);
	number = PyObject_GetItem(point_names, arg);
	known = number && as_word(number, point);
	Py_XDECREF(number);
	return known;
}

/* Usually nothing is armed, and then the name is not looked up. */
static PyObject *py_point(PyObject *module, PyObject *arg)
{
	struct kemu_self *s = &kemu_self;
	u64 point;
	int status;

	(void)module;
	/* The exact type first: under the limited API a look at a type's flags is a call. */
	if (!Py_IS_TYPE(arg, &PyUnicode_Type) && !PyUnicode_Check(arg) && !PyLong_Check(arg)) {
		PyErr_SetString(PyExc_TypeError, "point(name or number)");
		return NULL;
	}
	if (!is_task())
		return NULL;
	if (!load(&s->k->hdr->gate))
		Py_RETURN_NONE;
	/* Looking the name up may run code, which may call leave(). */
	if (!point_number(arg, &point) || !is_task())
		return NULL;
	status = kemu_point(s, point);
	while (status == KEMU_PENDING) {
		if (!take_pending())
			return NULL;
		status = kemu_wait_while_held(s);
	}
	return done(status);
}

/* Takes a number, or reads the word that is given. */
static bool as_value(PyObject *arg, u64 *value)
{
	if (!PyObject_TypeCheck(arg, Word_Type))
		return as_word(arg, value);
	*value = load(((Word *)arg)->p);
	return true;
}

/* trace(event, subject's slot or -1, a, b, c): looks at the arguments only while it traces. */
static PyObject *py_trace(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	struct kemu_task *subject = NULL;
	u64 v[5] = { 0 };

	(void)module;
	if (nargs < 2 || nargs > 5) {
		PyErr_SetString(PyExc_TypeError, "trace(event, slot, a=0, b=0, c=0)");
		return NULL;
	}
	if (!is_task())
		return NULL;
	if (!(load(&kemu_self.k->hdr->gate) & GATE_TRACE))
		Py_RETURN_NONE;
	for (Py_ssize_t i = 0; i < nargs; i++)
		if (!as_value(args[i], &v[i]))
			return NULL;
	if (!is_task())		/* an __index__ may be code that calls leave() */
		return NULL;
	if (!may_be_task(kemu_self.k, v[1], &subject))
		return NULL;
	kemu_trace(&kemu_self, v[0], subject, v[2], v[3], v[4]);
	Py_RETURN_NONE;
}

PyMethodDef point_functions[] = {
	ONE("set_point_names", py_set_point_names, "mapping",
	    "Set the mapping from a point's name to its symbol."),
	ONE("point", py_point, "name_or_number",
	    "Pass a named point.  It does what is armed: a trace event, a hold, a delay."),
	FAST("trace", py_trace, "event, slot, a=0, b=0, c=0",
	     "Write an event to this CPU's ring, if tracing is on.  Reads a word given for a, b\n"
	     "or c only then."),
	{ 0 },
};
