/*
 * python/task.c - what the calling thread does as a task of a machine.
 *
 * An operation that opens the CPU to interrupts or preemption (unlock, enable, wait_while) takes
 * what is due through the vectors.  The kernel sets the vectors once per process.  So those
 * operations may switch tasks.
 *
 * thread_view is the Python object that stands for kemu_self.thread.  current() returns it.  If
 * the thread stands in for swapper, current() returns swapper's view from the table instead.
 */
#define _GNU_SOURCE
#include <signal.h>

#include "py.h"

static PyObject *irq_vector, *resched_vector, *lock_vector;
static PyObject *tasks;		/* this process's table of views */
static __thread PyObject *thread_view;
static __thread Memory *self_memory;

bool is_task(void)
{
	if (kemu_self.task)
		return true;
	fail(KEMU_NOTASK);
	return false;
}

/* The same, for what belongs to a machine: a task may use only what its own machine has. */
bool is_task_of(Memory *memory)
{
	if (!is_task())
		return false;
	if (likely(kemu_self.k == &memory->k))
		return true;
	fail(KEMU_RANGE);
	return false;
}

/*
 * Called at the beginning of a mechanism of the kernel.  The mechanism turns interrupts or
 * preemption off next, so this is the last place where jitter may interrupt the task.
 */
bool begins_call(void)
{
	struct kemu_self *s = &kemu_self;
	int status;

	if (!is_task())
		return false;
	if (!unlikely(load(&s->k->hdr->gate)))
		return true;
	status = kemu_gate(s, s->k, OP_CALL, kemu_offset(s->k, &s->task->state), 0);
	if (status < 0)
		fail(status);
	return status >= 0;
}

static bool call(PyObject *vector)
{
	PyObject *result = PyObject_CallNoArgs(vector);

	Py_XDECREF(result);
	return result != NULL;
}

/* Takes an interrupt with interrupts off and a hardirq count, as hardware and entry code do. */
static bool take_irq(struct kemu_cpu *cpu)
{
	struct kemu_task *t = kemu_self.task;
	PyObject *memory = Py_NewRef((PyObject *)self_memory);	/* the vector may leave() */
	bool ok;

	if (unlikely(kemu_controlled(kemu_self.k)))
		kemu_drain_at_interrupt(&kemu_self);
	store(&cpu->irqs_off, 1);
	store(&t->preempt_count, t->preempt_count + KEMU_HARDIRQ_OFFSET);
	ok = call(irq_vector);
	store(&t->preempt_count, t->preempt_count - KEMU_HARDIRQ_OFFSET);
	store(&cpu->irqs_off, 0);
	Py_DECREF(memory);
	return ok;
}

/* While the vector runs, jitter does not take the reschedule that the vector is about to take. */
static bool reschedule(struct kemu_self *s)
{
	bool ok;

	s->rescheduling = true;
	ok = call(resched_vector);
	s->rescheduling = false;
	return ok;
}

/* Takes all that is due.  False: a Python exception is set. */
bool take_pending(void)
{
	struct kemu_self *s = &kemu_self;

	for (;;) {
		struct kemu_cpu *cpu;

		if (!is_task())		/* a vector may have called leave() */
			return false;
		cpu = kemu_this_cpu(s);
		if (load(&s->k->hdr->gate) & GATE_PANIC) {
			fail(KEMU_STOPPED);
			return false;
		}
		if (!irq_vector)	/* no kernel yet: what is due stays pending */
			return true;
		if (kemu_irq_pending(cpu)) {
			if (!take_irq(cpu))
				return false;
		} else if (kemu_resched_due(s, cpu)) {
			if (!reschedule(s))
				return false;
		} else {
			return true;
		}
	}
}

PyObject *then_pending(void)
{
	if (unlikely(is_due()) && !take_pending())
		return NULL;
	Py_RETURN_NONE;
}

/* A task takes a lock of the class in a new way: lock_vector judges that. */
int lock_used(u64 class, u64 use, u64 before)
{
	PyObject *result;

	if (!lock_vector)
		return KEMU_OK;
	result = PyObject_CallFunction(lock_vector, "KKK", class, use, before);
	Py_XDECREF(result);
	return result ? KEMU_OK : KEMU_RAISED;
}

/* ---- becoming a task ------------------------------------------------------ */

void replace_object(PyObject **slot, PyObject *view)
{
	PyObject *old = *slot;

	*slot = Py_XNewRef(view);
	Py_XDECREF(old);
}

static void block_signals(void)
{
	sigset_t all;

	/* Python's handlers run in the main thread, so signals go there. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
}

/* enter(memory, slot, view): from now on the calling thread runs as this task. */
static PyObject *py_enter(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	Memory *memory;
	struct kemu_task *t;
	u64 slot, core;

	(void)module;
	if (nargs != 3 || !PyObject_TypeCheck(args[0], Memory_Type)) {
		PyErr_SetString(PyExc_TypeError, "enter(memory, slot, view)");
		return NULL;
	}
	memory = (Memory *)args[0];
	if (!as_word(args[1], &slot))
		return NULL;
	t = memory->k.base ? task_in(&memory->k, slot) : NULL;
	if (!t || load(&t->cpu) >= memory->k.nr_cpus)
		return fail(KEMU_RANGE);
	if (kemu_self.thread || cmpxchg(&t->tid, 0, kemu_tid()))
		return fail(KEMU_BUSY);
	block_signals();
	/* tid is stored before host_core is read: see give_turn() in cpu.c. */
	core = load(&t->host_core);
	if (core)
		kemu_pin(0, core - 1);
	self_memory = (Memory *)Py_NewRef((PyObject *)memory);
	kemu_self = (struct kemu_self) { .k = &memory->k, .task = t, .thread = t };
	replace_object(&thread_view, args[2]);
	Py_RETURN_NONE;
}

/* leave(): the calling thread is not a task any more.  The slot keeps its words. */
PyObject *py_leave(PyObject *module, PyObject *unused)
{
	PyObject *view = thread_view, *memory = (PyObject *)self_memory;

	(void)module, (void)unused;
	/* Clear everything before a __del__ runs: it may call enter() again. */
	kemu_self = (struct kemu_self) { 0 };
	thread_view = NULL;
	self_memory = NULL;
	Py_XDECREF(view);
	Py_XDECREF(memory);
	Py_RETURN_NONE;
}

static PyObject *py_current(PyObject *module, PyObject *unused)
{
	struct kemu_self *s = &kemu_self;
	PyObject *view;

	(void)module, (void)unused;
	if (!is_task())
		return NULL;
	if (unlikely(s->task != s->thread)) {
		view = view_in(tasks, s->k, (u64)(s->task - s->k->tasks));
		if (view || PyErr_Occurred())
			return view;
	}
	return Py_NewRef(thread_view);
}

static PyObject *py_set_tasks(PyObject *module, PyObject *table)
{
	(void)module;
	if (!PyObject_TypeCheck(table, Tasks_Type)) {
		PyErr_SetString(PyExc_TypeError, "set_tasks(tasks): the table of views");
		return NULL;
	}
	replace_object(&tasks, table);
	Py_RETURN_NONE;
}

static PyObject *py_set_vectors(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	(void)module;
	if (nargs != 2 || !PyCallable_Check(args[0]) || !PyCallable_Check(args[1])) {
		PyErr_SetString(PyExc_TypeError, "set_vectors(interrupt, reschedule): two callables");
		return NULL;
	}
	replace_object(&irq_vector, args[0]);
	replace_object(&resched_vector, args[1]);
	Py_RETURN_NONE;
}

static PyObject *py_set_lock_vector(PyObject *module, PyObject *vector)
{
	(void)module;
	if (!PyCallable_Check(vector)) {
		PyErr_SetString(PyExc_TypeError, "set_lock_vector(vector): a callable");
		return NULL;
	}
	replace_object(&lock_vector, vector);
	Py_RETURN_NONE;
}

/* ---- turns ---------------------------------------------------------------- */

static PyObject *py_wait_turn(PyObject *module, PyObject *unused)
{
	u64 last = 0;
	int status;

	(void)module, (void)unused;
	if (!is_task())
		return NULL;
	if (kemu_self.begun != ENTERED)
		return refuse("wait_turn(): this task has had its first turn, and only the thread of a new "
			      "task waits for a turn; call schedule() to sleep");
	status = kemu_wait_turn(&kemu_self, &last);
	if (status >= 0)
		kemu_self.begun = HAS_TURN;
	return status_or(status, last);
}

static PyObject *py_idle(PyObject *module, PyObject *unused)
{
	u64 why = 0;
	int status;

	(void)module, (void)unused;
	if (!is_task())
		return NULL;
	if (kemu_slot(kemu_self.k, kemu_self.task) != load(&kemu_this_cpu(&kemu_self)->idle))
		return refuse("idle(): this task is not the idle task of its CPU, and no task would wake "
			      "it; call schedule() to sleep");
	status = kemu_idle(&kemu_self, &why);
	if (status < 0)
		return fail(status);
	/* The caller looks for a reschedule, and an interrupt may make one due. */
	if (why & WHY_IRQ && !(why & WHY_TURN) && !take_pending())
		return NULL;
	return from_word(why);
}

PyMethodDef task_functions[] = {
	FAST("enter", py_enter, "memory, slot, view", "The calling thread becomes the task's."),
	NOARGS("leave", py_leave, "The calling thread is not a task any more."),
	NOARGS("current", py_current, "The view of the task that runs."),
	ONE("set_tasks", py_set_tasks, "tasks", "The table in which current() finds swapper's view."),
	FAST("set_vectors", py_set_vectors, "interrupt, reschedule",
	     "Set what the CPU calls when it takes an interrupt, and when it takes a reschedule."),
	ONE("set_lock_vector", py_set_lock_vector, "vector",
	    "While GATE_LOCKDEP is set, the hardware calls vector(class, use, before) when a task\n"
	    "first takes a lock of a class in a new way.  class: the offset of the class's symbol;\n"
	    "use, before: LOCK_ bits."),
	NOARGS("wait_turn", py_wait_turn,
	       "Sleep until a CPU switches to this task.  Returns the slot of the task before it."),
	NOARGS("idle", py_idle, "Idle until something is due; returns WHY_ bits."),
	{ 0 },
};
