/*
 * python/types.c - the types of kemu.native: made once, and kept as long as the process lives.
 *
 * They are heap types, because the limited API knows no other, and immutable, so that Python
 * cannot replace a method under the kernel.  Each file of a type has its description.  A module
 * that is imported anew gets the types that are there: two Word types could not pass words to
 * each other.
 */
#include "py.h"

PyTypeObject *Memory_Type, *Word_Type, *SpinLock_Type, *List_Type, *Tasks_Type, *RunQueue_Type;

static const struct { const char *name; PyTypeObject **type; PyType_Spec *spec; PyTypeObject **base; } types[] = {
	{ "Memory", &Memory_Type, &memory_spec, NULL },
	{ "Word", &Word_Type, &word_spec, NULL },
	{ "SpinLock", &SpinLock_Type, &spinlock_spec, &Word_Type },	/* after its base */
	{ "List", &List_Type, &list_spec, NULL },
	{ "Tasks", &Tasks_Type, &tasks_spec, NULL },
	{ "RunQueue", &RunQueue_Type, &runqueue_spec, NULL },
};

bool add_types(PyObject *module)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		PyObject *base = types[i].base ? (PyObject *)*types[i].base : NULL;

		if (!*types[i].type)
			*types[i].type = (PyTypeObject *)PyType_FromSpecWithBases(types[i].spec, base);
		if (!*types[i].type ||
		    PyModule_AddObjectRef(module, types[i].name, (PyObject *)*types[i].type))
			return false;
	}
	return true;
}

/* All bytes after the head are zero. */
void *new_object(PyTypeObject *type)
{
	return PyType_GenericAlloc(type, 0);
}

/*
 * Ends an object that has dropped what it holds except its memory (NULL: it has none).  A subclass
 * in Python may free its memory in another way, so the object's type knows how.  An object keeps
 * its heap type alive.
 */
void free_object(void *object, Memory *memory)
{
	PyTypeObject *type = Py_TYPE((PyObject *)object);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	Py_XDECREF((PyObject *)memory);
	release(object);
	Py_DECREF((PyObject *)type);
}
