/*
 * python/tasks.c - kemu.native.Tasks: a process's table of task views.
 *
 * The table holds one Python object for each life of a slot.  The factory makes the object
 * when the process first asks for that task.  The interpreter's lock guards the table.
 */
#include "py.h"

struct view { PyObject *task; u64 generation; };

typedef struct {
	PyObject_HEAD
	Memory *memory;
	PyObject *factory;
	struct view *views;
} Tasks;

static PyObject *Tasks_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	PyObject *factory;
	Memory *memory = memory_and(args, kwds, &factory);
	Tasks *t;

	if (!memory)
		return NULL;
	t = new_object(type);
	if (!t)
		return NULL;
	t->memory = (Memory *)Py_NewRef((PyObject *)memory);
	t->factory = Py_NewRef(factory);
	t->views = PyMem_Calloc(t->memory->k.nr_tasks, sizeof(*t->views));
	if (!t->views) {
		Py_DECREF(t);
		return PyErr_NoMemory();
	}
	return (PyObject *)t;
}

static void Tasks_dealloc(Tasks *t)
{
	for (u64 i = 0; t->views && i < t->memory->k.nr_tasks; i++)
		Py_XDECREF(t->views[i].task);
	PyMem_Free(t->views);
	Py_XDECREF(t->factory);
	free_object(t, t->memory);
}

static PyObject *new_view(Tasks *t, u64 slot, u64 generation)
{
	PyObject *number = from_word(slot), *old, *task;

	if (!number)
		return NULL;
	task = PyObject_CallFunctionObjArgs(t->factory, t->memory, number, NULL);
	Py_DECREF(number);
	if (!task)
		return NULL;
	old = t->views[slot].task;
	t->views[slot] = (struct view) { Py_NewRef(task), generation };
	Py_XDECREF(old);
	return task;
}

static PyObject *view_at(Tasks *t, u64 slot)
{
	struct kemu_task *task = task_in(&t->memory->k, slot);
	u64 generation;

	if (!task)
		return NULL;
	generation = load(&task->generation);
	if (unlikely(!t->views[slot].task || t->views[slot].generation != generation))
		return new_view(t, slot, generation);
	return Py_NewRef(t->views[slot].task);
}

/* The view of a task of k, or NULL without an error: the table is another machine's. */
PyObject *view_in(PyObject *tasks, struct kemu *k, u64 slot)
{
	if (!tasks || &((Tasks *)tasks)->memory->k != k)
		return NULL;
	return view_at((Tasks *)tasks, slot);
}

static PyObject *Tasks_at(Tasks *t, PyObject *arg)
{
	u64 slot;

	return as_word(arg, &slot) ? view_at(t, slot) : NULL;
}

/* owning(node): the task that a list node is part of (Linux: container_of). */
static PyObject *Tasks_owning(Tasks *t, PyObject *arg)
{
	u64 node, tasks;

	if (!as_word(arg, &node))
		return NULL;
	tasks = (u64)((char *)t->memory->k.tasks - t->memory->k.base);
	return node < tasks ? fail(KEMU_RANGE) : view_at(t, (node - tasks) / sizeof(struct kemu_task));
}

static PyObject *Tasks_memory(Tasks *t, void *unused)
{
	(void)unused;
	return Py_NewRef((PyObject *)t->memory);
}

static PyObject *Tasks_nr(Tasks *t, void *unused)
{
	(void)unused;
	return from_word(t->memory->k.nr_tasks);
}

static PyGetSetDef tasks_getset[] = {
	{ "nr", (getter)Tasks_nr, NULL, "How many slots the memory has.", NULL },
	{ "memory", (getter)Tasks_memory, NULL, "The Memory that the tasks are in.", NULL },
	{ 0 },
};

static PyMethodDef tasks_methods[] = {
	ONE("at", Tasks_at, "slot", "The task that is in the slot now."),
	ONE("owning", Tasks_owning, "node", "The task that a list node is part of."),
	{ "__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Tasks[view]: for type checkers." },
	{ 0 },
};

static PyType_Slot tasks_slots[] = {
	{ Py_tp_doc, "Tasks(memory, factory, /)\n--\n\n"
			      "A table of views.  factory(memory, slot) makes one for each life of a slot." },
	{ Py_tp_new, Tasks_new },
	{ Py_tp_dealloc, Tasks_dealloc },
	{ Py_tp_methods, tasks_methods },
	{ Py_tp_getset, tasks_getset },
	{ 0 },
};

PyType_Spec tasks_spec = {
	.name = "kemu.native.Tasks",
	.basicsize = sizeof(Tasks),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = tasks_slots,
};
