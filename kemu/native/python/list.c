/*
 * python/list.c - kemu.native.List and kemu.native.Tasks: queues, and the views of what is in them.
 *
 * A List is a view of a list head (list.c); its caller holds the list's lock.
 * Tasks is a process's table of views: one object for each life of a slot, made
 * by the factory on first use.  The interpreter's lock guards the table.
 */
#include "py.h"

typedef struct {
	PyObject_HEAD
	Memory *memory;
	u64 head;
} List;

static PyObject *List_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	u64 head, unused;
	Memory *memory;
	List *l;

	if (!memory_and_word(args, kwds, &memory, &head))
		return NULL;
	if (kemu_list_next(&memory->k, head, &unused))
		return fail(KEMU_RANGE);
	l = (List *)type->tp_alloc(type, 0);
	if (!l)
		return NULL;
	l->memory = (Memory *)Py_NewRef((PyObject *)memory);
	l->head = head;
	return (PyObject *)l;
}

static void List_dealloc(List *l)
{
	Py_XDECREF(l->memory);
	Py_TYPE(l)->tp_free(l);
}

static PyObject *List_add(List *l, PyObject *arg)
{
	u64 node;

	return as_word(arg, &node) ? done(kemu_list_add(&l->memory->k, l->head, node, false)) : NULL;
}

static PyObject *List_add_tail(List *l, PyObject *arg)
{
	u64 node;

	return as_word(arg, &node) ? done(kemu_list_add(&l->memory->k, l->head, node, true)) : NULL;
}

static PyObject *List_first(List *l, PyObject *unused)
{
	u64 node = 0;
	int status = kemu_list_next(&l->memory->k, l->head, &node);

	(void)unused;
	return status_or(status, node == l->head ? 0 : node);
}

static PyObject *List_empty(List *l, PyObject *unused)
{
	u64 node = 0;
	int status = kemu_list_next(&l->memory->k, l->head, &node);

	(void)unused;
	return status < 0 ? fail(status) : PyBool_FromLong(node == l->head);
}

/* No more than a machine can have, should the list be broken. */
static PyObject *List_nodes(List *l, PyObject *unused)
{
	PyObject *found = PyList_New(0);
	u64 node = l->head;

	(void)unused;
	for (int i = 0; found && i < KEMU_MAX_TASKS; i++) {
		int status = kemu_list_next(&l->memory->k, node, &node);
		PyObject *item;

		if (status < 0) {
			Py_DECREF(found);
			return fail(status);
		}
		if (node == l->head)
			break;
		item = from_word(node);
		if (!item || PyList_Append(found, item))
			Py_CLEAR(found);
		Py_XDECREF(item);
	}
	return found;
}

static PyObject *List_head(List *l, void *unused)
{
	(void)unused;
	return from_word(l->head);
}

static PyObject *List_memory(List *l, void *unused)
{
	(void)unused;
	return Py_NewRef((PyObject *)l->memory);
}

static PyGetSetDef list_getset[] = {
	{ "head", (getter)List_head, NULL, "Where the head is in its memory, in bytes.", NULL },
	{ "memory", (getter)List_memory, NULL, "The Memory it is in.", NULL },
	{ 0 },
};

static PyMethodDef list_methods[] = {
	ONE("add", List_add, "node", "In front of all others."),
	ONE("add_tail", List_add_tail, "node", "Behind all others."),
	NOARGS("first", List_first, "The first node's offset, or 0 if the list is empty."),
	NOARGS("empty", List_empty, "Whether there is no node."),
	NOARGS("nodes", List_nodes, "All nodes, in order."),
	{ 0 },
};

PyTypeObject List_Type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "kemu.native.List",
	.tp_doc = PyDoc_STR("List(memory, offset, /)\n--\n\n"
			    "A list head: a circular list of offsets (Linux: include/linux/list.h).\n\n"
			    "Two words of zero are an empty list.  Caller of every method holds the\n"
			    "lock that guards the list."),
	.tp_basicsize = sizeof(List),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_new = List_new,
	.tp_dealloc = (destructor)List_dealloc,
	.tp_methods = list_methods,
	.tp_getset = list_getset,
};

/* ---- tasks ---------------------------------------------------------------- */

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
	t = (Tasks *)type->tp_alloc(type, 0);
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
	Py_XDECREF(t->memory);
	Py_TYPE(t)->tp_free(t);
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
	u64 generation;

	if (slot >= t->memory->k.nr_tasks)
		return fail(KEMU_RANGE);
	generation = load(&t->memory->k.tasks[slot].generation);
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
	{ "nr", (getter)Tasks_nr, NULL, "How many slots there are.", NULL },
	{ "memory", (getter)Tasks_memory, NULL, "The Memory they are in.", NULL },
	{ 0 },
};

static PyMethodDef tasks_methods[] = {
	ONE("at", Tasks_at, "slot", "The task that is in the slot now."),
	ONE("owning", Tasks_owning, "node", "The task that a list node is part of."),
	{ "__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Tasks[view]: for type checkers." },
	{ 0 },
};

PyTypeObject Tasks_Type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "kemu.native.Tasks",
	.tp_doc = PyDoc_STR("Tasks(memory, factory, /)\n--\n\n"
			    "A table of views, one per slot and life: factory(memory, slot)."),
	.tp_basicsize = sizeof(Tasks),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.tp_new = Tasks_new,
	.tp_dealloc = (destructor)Tasks_dealloc,
	.tp_methods = tasks_methods,
	.tp_getset = tasks_getset,
};
