/*
 * python/cpu.c - what a task asks of its CPU: its number, preemption on or off, interrupts on or off.
 *
 * An operation that turns preemption or interrupts on takes what is due before it returns.  So it
 * may switch tasks.
 */
#include "py.h"

static PyObject *py_smp_processor_id(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? from_word(load(&kemu_self.task->cpu)) : NULL;
}

static PyObject *py_preempt_count(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? from_word(load(&kemu_self.task->preempt_count)) : NULL;
}

static PyObject *py_preempt_disable(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	if (!is_task())
		return NULL;
	store(&kemu_self.task->preempt_count, kemu_self.task->preempt_count + 1);
	Py_RETURN_NONE;
}

static bool count_down(void)
{
	if (!is_task())
		return false;
	if ((s64)kemu_self.task->preempt_count <= 0 || !(kemu_self.task->preempt_count & 0xff)) {
		PyErr_SetString(UsageError, "preempt_enable() without preempt_disable()");
		return false;
	}
	store(&kemu_self.task->preempt_count, kemu_self.task->preempt_count - 1);
	return true;
}

static PyObject *py_preempt_enable_no_resched(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	if (!count_down())
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *py_preempt_enable(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return count_down() ? then_pending() : NULL;
}

static PyObject *py_need_resched(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? PyBool_FromLong(!!load(&kemu_this_cpu(&kemu_self)->need_resched)) : NULL;
}

static PyObject *py_is_controlled(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? PyBool_FromLong(kemu_controlled(kemu_self.k)) : NULL;
}

static PyObject *py_irqs_disabled(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? PyBool_FromLong(!!load(&kemu_this_cpu(&kemu_self)->irqs_off)) : NULL;
}

static PyObject *py_local_irq_save(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? from_word(kemu_irq_save(&kemu_self)) : NULL;
}

static PyObject *py_local_irq_restore(PyObject *module, PyObject *arg)
{
	u64 flags;

	(void)module;
	if (!as_word(arg, &flags) || !is_task())
		return NULL;
	kemu_irq_put(&kemu_self, flags);
	return then_pending();
}

/* Takes an interrupt or a reschedule that is due, and does nothing else. */
static PyObject *py_cpu_relax(PyObject *module, PyObject *unused)
{
	struct kemu_self *s = &kemu_self;
	int status = KEMU_OK;

	(void)module, (void)unused;
	if (!is_task())
		return NULL;
	if (s->reschedules)
		kemu_deliver_kicks(s);
	if (kemu_controlled(s->k))
		status = kemu_choose(s, OP_RELAX, kemu_offset(s->k, &kemu_this_cpu(s)->need_resched), 0);
	else if (!is_due() && kemu_this_cpu(s)->sharers > 1)
		kemu_backoff(0);
	else if (!is_due())
		cpu_pause();
	return status < 0 ? fail(status) : then_pending();
}

PyMethodDef cpu_functions[] = {
	NOARGS("smp_processor_id", py_smp_processor_id, "The CPU that the task runs on."),
	NOARGS("preempt_count", py_preempt_count, "The preempt_count of the current task."),
	NOARGS("preempt_disable", py_preempt_disable, "Turn preemption off.  Calls nest."),
	NOARGS("preempt_enable", py_preempt_enable,
	       "Undo one preempt_disable().  May switch tasks."),
	NOARGS("preempt_enable_no_resched", py_preempt_enable_no_resched,
	       "Undo one preempt_disable().  Does not switch tasks."),
	NOARGS("need_resched", py_need_resched, "Whether this CPU must call schedule()."),
	NOARGS("is_controlled", py_is_controlled, "Whether a chooser decides each step of this machine."),
	NOARGS("irqs_disabled", py_irqs_disabled, "Whether interrupts are off on this CPU."),
	NOARGS("local_irq_save", py_local_irq_save,
	       "Turn interrupts off.  Returns the flags for local_irq_restore()."),
	ONE("local_irq_restore", py_local_irq_restore, "flags",
	    "Turn interrupts on if the flags say so.  May take an interrupt and switch tasks."),
	NOARGS("cpu_relax", py_cpu_relax, "One step of a polling loop.  May switch tasks."),
	{ 0 },
};
