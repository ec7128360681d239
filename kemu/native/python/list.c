/*
 * python/list.c - kemu.native.List: a view of a list head.
 *
 * hardware/list.c has the links.  The caller of each method holds the lock of the list.
 */
#include "py.h"

typedef struct {
	PyObject_HEAD
	Memory *memory;
	u64 head;
} List;

static PyObject *List_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	u64 head;
	Memory *memory;
	List *l;

	if (!memory_and_word(args, kwds, &memory, &head))
		return NULL;
	/* Only a use checks the links, so that a view of a damaged list can be made. */
	if (!kemu_word(&memory->k, head) || !kemu_word(&memory->k, head + sizeof(u64)))
		return fail(KEMU_RANGE);
	l = new_object(type);
	if (!l)
		return NULL;
	l->memory = (Memory *)Py_NewRef((PyObject *)memory);
	l->head = head;
	return (PyObject *)l;
}

static void List_dealloc(List *l)
{
	free_object(l, l->memory);
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

/* At most as many nodes as a machine has tasks: a broken list may run in a circle. */
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
	{ "head", (getter)List_head, NULL, "The head's offset in its memory, in bytes.", NULL },
	{ "memory", (getter)List_memory, NULL, "The Memory that the list is in.", NULL },
	{ 0 },
};

static PyMethodDef list_methods[] = {
	ONE("add", List_add, "node", "Put the node in front of all others."),
	ONE("add_tail", List_add_tail, "node", "Put the node behind all others."),
	NOARGS("first", List_first, "The first node's offset, or 0 if the list is empty."),
	NOARGS("empty", List_empty, "Whether there is no node."),
	NOARGS("nodes", List_nodes, "All nodes, in order."),
	{ 0 },
};

static PyType_Slot list_slots[] = {
	{ Py_tp_doc, "List(memory, offset, /)\n--\n\n"
			      "A list head: a circular list of offsets (Linux: include/linux/list.h).\n\n"
			      "Two words of zero are an empty list.  Caller of every method holds the\n"
			      "lock that guards the list." },
	{ Py_tp_new, List_new },
	{ Py_tp_dealloc, List_dealloc },
	{ Py_tp_methods, list_methods },
	{ Py_tp_getset, list_getset },
	{ 0 },
};

PyType_Spec list_spec = {
	.name = "kemu.native.List",
	.basicsize = sizeof(List),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = list_slots,
};
