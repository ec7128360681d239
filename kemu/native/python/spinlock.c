/*
 * python/spinlock.c - kemu.native.SpinLock: a Word that is a lock with an owner.
 *
 * lock() disables preemption first, and unlock() enables it last.  So unlock() takes what is due
 * (an interrupt, a reschedule), and may switch tasks.
 */
#include "py.h"

typedef struct {
	Word word;
	PyObject *class_name;	/* NULL: uses of the lock are not tracked */
	u64 class;		/* the offset of the symbol, once it has been looked up */
} SpinLock;

/* Reports to lockuse.c that the current task is about to take the lock.  Out of line: it is rare. */
static __attribute__((noinline, cold)) bool note_use(SpinLock *l)
{
	struct kemu *k = &l->word.memory->k;
	int status = KEMU_OK;

	if (!l->class_name)
		return true;
	if (!l->class) {
		Py_ssize_t len;
		const char *name = PyUnicode_AsUTF8AndSize(l->class_name, &len);
		u64 index = 0;

		if (!name)
			return false;
		status = kemu_symbol(k, name, (u64)len, &index);
		l->class = status < 0 ? 0 : k->symbols + index * sizeof(struct kemu_symbol);
	}
	if (status >= 0)
		status = kemu_lock_used(&kemu_self, l->class);
	if (status < 0)
		fail(status);
	return status >= 0;
}

static bool spin_lock(Word *w)
{
	int status;

	if (!is_task_of(w->memory))
		return false;
	if (unlikely(load(&w->hdr->gate) & GATE_LOCKDEP) && !note_use((SpinLock *)w))
		return false;
	status = kemu_lock(&kemu_self, w->p);
	if (unlikely(status < 0))
		fail(status);
	return status >= 0;
}

static bool spin_unlock(Word *w)
{
	int status;

	if (!is_task_of(w->memory))
		return false;
	status = kemu_unlock(&kemu_self, w->p);
	if (unlikely(status < 0))
		fail(status);
	return status >= 0;
}

static PyObject *SpinLock_lock(Word *w, PyObject *unused)
{
	(void)unused;
	if (!spin_lock(w))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *SpinLock_unlock(Word *w, PyObject *unused)
{
	(void)unused;
	return spin_unlock(w) ? then_pending() : NULL;
}

static PyObject *SpinLock_lock_irqsave(Word *w, PyObject *unused)
{
	u64 flags;

	(void)unused;
	if (!begins_call())
		return NULL;
	flags = kemu_irq_save(&kemu_self);
	if (!spin_lock(w)) {
		kemu_irq_put(&kemu_self, flags);
		return NULL;
	}
	return from_word(flags);
}

static PyObject *SpinLock_unlock_irqrestore(Word *w, PyObject *arg)
{
	u64 flags;

	if (!as_word(arg, &flags) || !spin_unlock(w))
		return NULL;
	kemu_irq_put(&kemu_self, flags);
	return then_pending();
}

static PyObject *SpinLock_unlock_irq(Word *w, PyObject *unused)
{
	(void)unused;
	if (!spin_unlock(w))
		return NULL;
	kemu_irq_put(&kemu_self, 0);
	return then_pending();
}

static PyObject *SpinLock_is_held(Word *w, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(kemu_self.k == &w->memory->k && kemu_self.task &&
			       load(w->p) == kemu_slot(kemu_self.k, kemu_self.task) + 1);
}

static PyMethodDef spinlock_methods[] = {
	NOARGS("lock", SpinLock_lock, "Take the lock.  Disables preemption.  Full barrier."),
	NOARGS("unlock", SpinLock_unlock,
	       "Free the lock (release).  Enables preemption.  May switch tasks."),
	NOARGS("lock_irqsave", SpinLock_lock_irqsave,
	       "Turn interrupts off, then lock().  Returns the flags."),
	NOARGS("lock_irq", SpinLock_lock_irqsave, "Turn interrupts off, then lock()."),
	ONE("unlock_irqrestore", SpinLock_unlock_irqrestore, "flags",
	    "unlock(), then set interrupts as the flags say.  May switch tasks."),
	NOARGS("unlock_irq", SpinLock_unlock_irq,
	       "unlock(), then turn interrupts on.  May switch tasks."),
	NOARGS("is_held", SpinLock_is_held, "Whether the current task holds the lock."),
	{ 0 },
};

static PyObject *SpinLock_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	PyObject *name = kwds ? PyDict_GetItemString(kwds, "lock_class") : NULL;
	SpinLock *l;

	if (kwds && PyDict_Size(kwds) != (name ? 1 : 0)) {
		PyErr_SetString(PyExc_TypeError, "SpinLock(memory, offset, /, lock_class=\"\")");
		return NULL;
	}
	if (name && !PyUnicode_Check(name)) {
		PyErr_SetString(PyExc_TypeError, "lock_class must be a str");
		return NULL;
	}
	l = (SpinLock *)Word_new(type, args, NULL);
	if (l && name && PyUnicode_GetLength(name))
		l->class_name = Py_NewRef(name);
	return (PyObject *)l;
}

static void SpinLock_dealloc(SpinLock *l)
{
	Py_XDECREF(l->class_name);
	Word_dealloc(&l->word);
}

static PyType_Slot spinlock_slots[] = {
	{ Py_tp_doc, "SpinLock(memory, offset, /, lock_class='')\n--\n\nA word that is a lock." },
	{ Py_tp_new, SpinLock_new },
	{ Py_tp_dealloc, SpinLock_dealloc },
	{ Py_tp_methods, spinlock_methods },
	{ 0 },
};

PyType_Spec spinlock_spec = {
	.name = "kemu.native.SpinLock",
	.basicsize = sizeof(SpinLock),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = spinlock_slots,
};
