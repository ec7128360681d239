/*
 * python/word.c - kemu.native.Word: one shared word, and the operations on it.
 *
 * Word_new() checks the offset, and a Word keeps its Memory mapped for as long as the Word lives.
 * So the operations need no check.  hardware/atomic.h says what the orderings mean.
 */
#include "py.h"

static inline u64 offset_of(Word *w)
{
	return (u64)((char *)w->p - w->memory->k.base);
}

int word_gate(Word *w, enum kemu_op op, u64 value)
{
	int status = kemu_gate(&kemu_self, &w->memory->k, op, offset_of(w), value);

	if (status < 0)
		fail(status);
	return status;
}

/* Called after every change of a word: notifies the threads that watch the word (watch.c). */
static inline void changed(Word *w)
{
	if (unlikely(load(&w->hdr->watchers)))
		kemu_changed(&w->memory->k, w->p);
}

static PyObject *announce(Word *w, u64 result)
{
	changed(w);
	return from_word(result);
}

/* Something is armed: passes the gate, then loads as the memory model says. */
static __attribute__((noinline)) bool load_at_gate(Word *w, u64 mask, bool acquire, u64 *v)
{
	if (word_gate(w, OP_LOAD, mask) < 0)
		return false;
	*v = kemu_get(&kemu_self, &w->memory->k, w->p, acquire);
	return true;
}

/* The same for a store. */
static __attribute__((noinline)) bool store_at_gate(Word *w, u64 v, bool release)
{
	if (word_gate(w, OP_STORE, v) < 0)
		return false;
	kemu_put(&kemu_self, &w->memory->k, w->p, v, release);
	return true;
}

static PyObject *Word_load(Word *w, PyObject *unused)
{
	u64 v;

	(void)unused;
	if (unlikely(load(&w->hdr->gate)))
		return load_at_gate(w, 0, false, &v) ? from_word(v) : NULL;
	return from_word(load(w->p));
}

static PyObject *Word_load_acquire(Word *w, PyObject *unused)
{
	u64 v;

	(void)unused;
	if (unlikely(load(&w->hdr->gate)))
		return load_at_gate(w, 0, true, &v) ? from_word(v) : NULL;
	return from_word(load_acquire(w->p));
}

static PyObject *Word_store(Word *w, PyObject *arg)
{
	u64 v;

	if (!as_word(arg, &v))
		return NULL;
	if (!unlikely(load(&w->hdr->gate)))
		store(w->p, v);
	else if (!store_at_gate(w, v, false))
		return NULL;
	changed(w);
	Py_RETURN_NONE;
}

static PyObject *Word_store_release(Word *w, PyObject *arg)
{
	u64 v;

	if (!as_word(arg, &v))
		return NULL;
	if (!unlikely(load(&w->hdr->gate)))
		store_release(w->p, v);
	else if (!store_at_gate(w, v, true))
		return NULL;
	changed(w);
	Py_RETURN_NONE;
}

static PyObject *Word_xchg(Word *w, PyObject *arg)
{
	u64 v;

	return as_word(arg, &v) && pass_gate(w, OP_XCHG, v) ? announce(w, xchg(w->p, v)) : NULL;
}

static PyObject *Word_cmpxchg(Word *w, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[2];

	if (!as_words(args, nargs, 2, v) || !pass_gate(w, OP_CMPXCHG, v[1]))
		return NULL;
	return announce(w, cmpxchg(w->p, v[0], v[1]));
}

static PyObject *Word_add(Word *w, PyObject *arg)
{
	u64 v;

	return as_word(arg, &v) && pass_gate(w, OP_ADD, v) ? announce(w, fetch_add(w->p, v) + v) : NULL;
}

/* inc(), dec(): for a counter that a lock guards.  Cheaper than add(), and not a barrier. */
static PyObject *add_plainly(Word *w, u64 by)
{
	if (!unlikely(load(&w->hdr->gate)))
		store(w->p, load(w->p) + by);
	else if (!store_at_gate(w, kemu_peek(&kemu_self, &w->memory->k, w->p) + by, false))
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *Word_inc(Word *w, PyObject *unused)
{
	(void)unused;
	return add_plainly(w, 1);
}

static PyObject *Word_dec(Word *w, PyObject *unused)
{
	(void)unused;
	return add_plainly(w, ~0ULL);
}

static PyObject *Word_inc_not_zero(Word *w, PyObject *unused)
{
	u64 old, seen;

	(void)unused;
	if (!pass_gate(w, OP_ADD, 1))
		return NULL;
	seen = load(w->p);
	do {
		old = seen;
		if ((s64)old <= 0)
			Py_RETURN_FALSE;
		seen = cmpxchg(w->p, old, old + 1);
	} while (seen != old);
	Py_RETURN_TRUE;
}

static PyObject *Word_or(Word *w, PyObject *arg)
{
	u64 v;

	return as_word(arg, &v) && pass_gate(w, OP_OR, v) ? announce(w, fetch_or(w->p, v)) : NULL;
}

static PyObject *Word_and(Word *w, PyObject *arg)
{
	u64 v;

	return as_word(arg, &v) && pass_gate(w, OP_AND, v) ? announce(w, fetch_and(w->p, v)) : NULL;
}

static bool as_bit(PyObject *arg, u64 *mask)
{
	u64 nr;

	if (!as_word(arg, &nr))
		return false;
	if (nr > 62) {
		PyErr_Format(UsageError, "bit %lld: a word has bits 0 to 62", (long long)nr);
		return false;
	}
	*mask = 1ULL << nr;
	return true;
}

static PyObject *Word_test_bit(Word *w, PyObject *arg)
{
	u64 m, v;

	if (!as_bit(arg, &m))
		return NULL;
	if (unlikely(load(&w->hdr->gate)))
		return load_at_gate(w, m, false, &v) ? PyBool_FromLong(!!(v & m)) : NULL;
	return PyBool_FromLong(!!(load(w->p) & m));
}

static PyObject *Word_set_bit(Word *w, PyObject *arg)
{
	u64 m;

	if (!as_bit(arg, &m) || !pass_gate(w, OP_OR, m))
		return NULL;
	fetch_or(w->p, m);
	changed(w);
	Py_RETURN_NONE;
}

static PyObject *Word_clear_bit(Word *w, PyObject *arg)
{
	u64 m;

	if (!as_bit(arg, &m) || !pass_gate(w, OP_AND, ~m))
		return NULL;
	fetch_and(w->p, ~m);
	changed(w);
	Py_RETURN_NONE;
}

static PyObject *Word_test_and_set_bit(Word *w, PyObject *arg)
{
	u64 m;

	return as_bit(arg, &m) && pass_gate(w, OP_OR, m) ?
	       PyBool_FromLong(!!(fetch_or(w->p, m) & m)) : NULL;
}

static PyObject *Word_test_and_clear_bit(Word *w, PyObject *arg)
{
	u64 m;

	return as_bit(arg, &m) && pass_gate(w, OP_AND, ~m) ?
	       PyBool_FromLong(!!(fetch_and(w->p, ~m) & m)) : NULL;
}

/* wait_while(value[, slot of the task that will change it]) */
static PyObject *Word_wait_while(Word *w, PyObject *const *args, Py_ssize_t nargs)
{
	struct kemu *k = &w->memory->k;
	struct kemu_task *whom = NULL;
	u64 v[2] = { 0, ~0ULL };
	int status;

	if (!as_words_between(args, nargs, 1, 2, v) || !may_be_task(k, v[1], &whom) ||
	    !pass_gate(w, OP_WAIT, v[0]))
		return NULL;
	while ((status = kemu_wait_while(k, w->p, v[0], whom)) != KEMU_OK) {
		if (status == KEMU_STOPPED)
			return fail(status);
		if (status == KEMU_PENDING ? !take_pending() : PyErr_CheckSignals())
			return NULL;
	}
	return from_word(kemu_peek(&kemu_self, k, w->p));
}

/* relax_while(value): as cpu_relax(); it ends early when the word changes. */
static PyObject *Word_relax_while(Word *w, PyObject *arg)
{
	u64 v;

	/* Behind the gate again: a vector that it took may have called leave(). */
	if (!as_word(arg, &v) || !is_task() || !pass_gate(w, OP_WAIT, v) || !is_task_of(w->memory))
		return NULL;
	if (kemu_self.reschedules)
		kemu_deliver_kicks(&kemu_self);
	if (kemu_peek(&kemu_self, kemu_self.k, w->p) == v && !is_due())
		kemu_relax_while(&kemu_self, w->p, v);
	return then_pending();
}

static PyObject *Word_repr(Word *w)
{
	PyObject *name = PyType_GetName(Py_TYPE((PyObject *)w)), *text;

	if (!name)
		return NULL;
	text = PyUnicode_FromFormat("<%U at %llu: %lld>", name, (unsigned long long)offset_of(w),
				    (long long)load(w->p));
	Py_DECREF(name);
	return text;
}

static PyObject *Word_offset(Word *w, void *unused)
{
	(void)unused;
	return from_word(offset_of(w));
}

static PyObject *Word_memory(Word *w, void *unused)
{
	(void)unused;
	return Py_NewRef((PyObject *)w->memory);
}

PyObject *Word_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	Memory *memory;
	u64 off, *p;
	Word *w;

	if (!memory_and_word(args, kwds, &memory, &off))
		return NULL;
	p = kemu_word(&memory->k, off);
	if (!p)
		return fail(KEMU_RANGE);
	w = new_object(type);
	if (!w)
		return NULL;
	w->p = p;
	w->hdr = memory->k.hdr;
	w->memory = (Memory *)Py_NewRef((PyObject *)memory);
	return (PyObject *)w;
}

void Word_dealloc(Word *w)
{
	free_object(w, w->memory);
}

static PyGetSetDef word_getset[] = {
	{ "offset", (getter)Word_offset, NULL, "The word's offset in its memory, in bytes.", NULL },
	{ "memory", (getter)Word_memory, NULL, "The Memory that the word is in.", NULL },
	{ 0 },
};

static PyMethodDef word_methods[] = {
	NOARGS("load", Word_load, "Read the word.  No ordering."),
	NOARGS("load_acquire", Word_load_acquire, "Read the word, before all that follows."),
	ONE("store", Word_store, "value", "Write the word.  No ordering."),
	ONE("store_release", Word_store_release, "value", "Write the word, after all that precedes."),
	ONE("xchg", Word_xchg, "value", "Write the word.  Returns the old value.  Full barrier."),
	FAST("cmpxchg", Word_cmpxchg, "old, new",
	     "Write new if the word is old.  Returns the old value.  Full barrier."),
	ONE("add", Word_add, "value", "Add to the word.  Returns the new value.  Full barrier."),
	NOARGS("inc", Word_inc, "Add 1.  Not atomic: caller holds the word's lock.  No ordering."),
	NOARGS("dec", Word_dec,
	       "Subtract 1.  Not atomic: caller holds the word's lock.  No ordering."),
	NOARGS("inc_not_zero", Word_inc_not_zero,
	       "Add 1 if the word is above zero.  Returns whether it was.  Full barrier."),
	ONE("fetch_or", Word_or, "mask", "Set the bits.  Returns the old value.  Full barrier."),
	ONE("fetch_and", Word_and, "mask",
	    "Clear the bits that the mask lacks.  Returns the old value.  Full barrier."),
	ONE("test_bit", Word_test_bit, "nr", "Whether the bit is set.  No ordering."),
	ONE("set_bit", Word_set_bit, "nr", "Set the bit.  Full barrier."),
	ONE("clear_bit", Word_clear_bit, "nr", "Clear the bit.  Full barrier."),
	ONE("test_and_set_bit", Word_test_and_set_bit, "nr",
	    "Set the bit.  Returns what it was.  Full barrier."),
	ONE("test_and_clear_bit", Word_test_and_clear_bit, "nr",
	    "Clear the bit.  Returns what it was.  Full barrier."),
	FAST("wait_while", Word_wait_while, "value, slot=-1",
	     "Wait until the word differs from value, and return the word.  Acquire.  Takes\n"
	     "interrupts and may switch tasks, where they are on.  slot: the task that will\n"
	     "change the word."),
	ONE("relax_while", Word_relax_while, "value",
	    "One step of a polling loop, as cpu_relax().  It ends early when the word differs from\n"
	    "value.  May switch tasks."),
	{ 0 },
};

static PyType_Slot word_slots[] = {
	{ Py_tp_doc, "Word(memory, offset, /)\n--\n\nOne 64-bit word that all CPUs share." },
	{ Py_tp_new, Word_new },
	{ Py_tp_dealloc, Word_dealloc },
	{ Py_tp_repr, Word_repr },
	{ Py_tp_methods, word_methods },
	{ Py_tp_getset, word_getset },
	{ 0 },
};

PyType_Spec word_spec = {
	.name = "kemu.native.Word",
	.basicsize = sizeof(Word),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = word_slots,
};
