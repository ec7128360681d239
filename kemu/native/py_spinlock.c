/*
 * py_spinlock.c - kemu.native.SpinLock: a Word that is a lock with an owner.
 *
 * Locking disables preemption first and unlocking enables it last, so what is
 * due (an interrupt, a reschedule) is taken inside the unlock: it may switch
 * tasks.  task.locks counts what a task holds, for reports and for gate.c.
 */
#include "py.h"

static u64 owner_id(void)
{
	return (u64)(kemu_self.task - kemu_self.k->tasks) + 1;
}

static bool spin_lock(Word *w)
{
	struct kemu_task *t;
	int status;

	if (!is_task() || !enter(w, OP_LOCK, 0))
		return false;
	if (kemu_self.k != &w->memory->k) {
		fail(KEMU_RANGE);
		return false;
	}
	t = kemu_self.task;
	store(&t->preempt_count, t->preempt_count + 1);
	status = kemu_spin_lock(kemu_self.k, w->p, owner_id());
	if (unlikely(status < 0)) {
		store(&t->preempt_count, t->preempt_count - 1);
		fail(status);
		return false;
	}
	t->locks++;
	return true;
}

static bool spin_unlock(Word *w)
{
	struct kemu_task *t;
	int status;

	if (!is_task() || !enter(w, OP_UNLOCK, 0))
		return false;
	status = kemu_self.k == &w->memory->k ? kemu_spin_unlock(w->p, owner_id()) : KEMU_RANGE;
	if (unlikely(status < 0)) {
		fail(status);
		return false;
	}
	t = kemu_self.task;
	if (!--t->locks && unlikely(kemu_self.reschedules))
		kemu_deliver(&kemu_self);
	store(&t->preempt_count, t->preempt_count - 1);
	if (unlikely(load(&kemu_self.k->hdr->starving)))
		kemu_spin_let_in(kemu_self.k, w->p);
	return true;
}

static u64 irq_off(void)
{
	struct kemu_cpu *cpu = kemu_this_cpu(&kemu_self);
	u64 was = cpu->irqs_off;

	store(&cpu->irqs_off, 1);
	return was;
}

static void irq_put(u64 flags)
{
	store(&kemu_this_cpu(&kemu_self)->irqs_off, flags);
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
	if (!is_task())
		return NULL;
	flags = irq_off();
	if (!spin_lock(w)) {
		irq_put(flags);
		return NULL;
	}
	return from_word(flags);
}

static PyObject *SpinLock_unlock_irqrestore(Word *w, PyObject *arg)
{
	u64 flags;

	if (!as_word(arg, &flags) || !spin_unlock(w))
		return NULL;
	irq_put(flags ? 1 : 0);
	return then_pending();
}

static PyObject *SpinLock_unlock_irq(Word *w, PyObject *unused)
{
	(void)unused;
	if (!spin_unlock(w))
		return NULL;
	irq_put(0);
	return then_pending();
}

static PyObject *SpinLock_is_held(Word *w, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(kemu_self.k == &w->memory->k && kemu_self.task &&
			       load(w->p) == owner_id());
}

static PyMethodDef spinlock_methods[] = {
	NOARGS("lock", SpinLock_lock, "Take it; disables preemption.  Full barrier."),
	NOARGS("unlock", SpinLock_unlock, "Free it (release); enables preemption.  May switch tasks."),
	NOARGS("lock_irqsave", SpinLock_lock_irqsave, "Interrupts off, then lock().  Returns the flags."),
	NOARGS("lock_irq", SpinLock_lock_irqsave, "Interrupts off, then lock()."),
	ONE("unlock_irqrestore", SpinLock_unlock_irqrestore, "flags", "unlock(), interrupts as they were."),
	NOARGS("unlock_irq", SpinLock_unlock_irq, "unlock(), interrupts on."),
	NOARGS("is_held", SpinLock_is_held, "Whether the current task holds it."),
	{ 0 },
};

PyTypeObject SpinLock_Type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "kemu.native.SpinLock",
	.tp_doc = PyDoc_STR("SpinLock(memory, offset, /)\n--\n\nA word that is a lock."),
	.tp_basicsize = sizeof(Word),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_base = &Word_Type,
	.tp_methods = spinlock_methods,
};
