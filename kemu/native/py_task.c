/*
 * py_task.c - what the calling thread does as a task of a machine.
 *
 * After an operation that opens the CPU to interrupts or preemption (unlock,
 * enable, wait_while), what is due is taken through the vectors, which the
 * kernel sets once per process.  So those operations may switch tasks.
 *
 * task_view and thread_view are the Python objects that stand for
 * kemu_self.task and kemu_self.thread: current() hands out the first.
 */
#define _GNU_SOURCE
#include <signal.h>

#include "py.h"

#define HARDIRQ_OFFSET	(1 << 16)

static PyObject *irq_vector, *resched_vector;
static __thread PyObject *task_view, *thread_view;
static __thread Memory *self_memory;

bool is_task(void)
{
	if (kemu_self.task)
		return true;
	fail(KEMU_NOTASK);
	return false;
}

static bool call(PyObject *vector)
{
	PyObject *result = PyObject_CallNoArgs(vector);

	Py_XDECREF(result);
	return result != NULL;
}

/* Interrupts are taken with interrupts off and a hardirq count, as hardware and entry code do. */
static bool take_irq(struct kemu_cpu *cpu)
{
	struct kemu_task *t = kemu_self.task;
	PyObject *memory = Py_NewRef((PyObject *)self_memory);	/* the vector may leave() */
	bool ok;

	store(&cpu->irqs_off, 1);
	store(&t->preempt_count, t->preempt_count + HARDIRQ_OFFSET);
	ok = call(irq_vector);
	store(&t->preempt_count, t->preempt_count - HARDIRQ_OFFSET);
	store(&cpu->irqs_off, 0);
	Py_DECREF(memory);
	return ok;
}

/* Takes whatever is due; false with a Python error set. */
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
		if (!irq_vector)	/* no kernel yet: it stays pending */
			return true;
		if (kemu_irq_pending(cpu)) {
			if (!take_irq(cpu))
				return false;
		} else if (kemu_resched_due(s, cpu)) {
			if (!call(resched_vector))
				return false;
		} else {
			return true;
		}
	}
}

static inline bool is_due(void)
{
	struct kemu_cpu *cpu = kemu_this_cpu(&kemu_self);

	return kemu_irq_pending(cpu) || kemu_resched_due(&kemu_self, cpu);
}

PyObject *then_pending(void)
{
	if (unlikely(is_due()) && !take_pending())
		return NULL;
	Py_RETURN_NONE;
}

/* ---- becoming a task ------------------------------------------------------ */

void show(PyObject **slot, PyObject *view)
{
	PyObject *old = *slot;

	*slot = Py_XNewRef(view);
	Py_XDECREF(old);
}

static void block_signals(void)
{
	sigset_t all;

	/* Python's handlers run in the main thread: let signals go there. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
}

/* enter(memory, slot, view): the calling thread is this task's from now on. */
static PyObject *py_enter(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	Memory *memory;
	struct kemu_task *t;
	u64 slot, core;

	(void)module;
	if (nargs != 3 || !PyObject_TypeCheck(args[0], &Memory_Type)) {
		PyErr_SetString(PyExc_TypeError, "enter(memory, slot, view)");
		return NULL;
	}
	memory = (Memory *)args[0];
	if (!as_word(args[1], &slot))
		return NULL;
	if (!memory->k.base || slot >= memory->k.nr_tasks ||
	    load(&memory->k.tasks[slot].cpu) >= memory->k.nr_cpus)
		return fail(KEMU_RANGE);
	t = &memory->k.tasks[slot];
	if (kemu_self.thread || cmpxchg(&t->tid, 0, kemu_tid()))
		return fail(KEMU_BUSY);
	block_signals();
	/* tid is stored before host_core is read: see give_turn() in cpu.c. */
	core = load(&t->host_core);
	if (core)
		kemu_pin(0, core - 1);
	self_memory = (Memory *)Py_NewRef((PyObject *)memory);
	kemu_self = (struct kemu_self) { .k = &memory->k, .task = t, .thread = t };
	show(&task_view, args[2]);
	show(&thread_view, args[2]);
	Py_RETURN_NONE;
}

/* leave(): it is no task any more.  Its slot is not touched. */
static PyObject *py_leave(PyObject *module, PyObject *unused)
{
	PyObject *views[2] = { task_view, thread_view }, *memory = (PyObject *)self_memory;

	(void)module, (void)unused;
	/* All of it before any __del__ runs, which might enter() again. */
	kemu_self = (struct kemu_self) { 0 };
	task_view = thread_view = NULL;
	self_memory = NULL;
	Py_XDECREF(views[0]);
	Py_XDECREF(views[1]);
	Py_XDECREF(memory);
	Py_RETURN_NONE;
}

static PyObject *py_current(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? Py_NewRef(task_view) : NULL;
}

static PyObject *py_set_vectors(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	(void)module;
	if (nargs != 2 || !PyCallable_Check(args[0]) || !PyCallable_Check(args[1])) {
		PyErr_SetString(PyExc_TypeError, "set_vectors(interrupt, reschedule): two callables");
		return NULL;
	}
	show(&irq_vector, args[0]);
	show(&resched_vector, args[1]);
	Py_RETURN_NONE;
}

/* ---- turns ---------------------------------------------------------------- */

/* After a wait for the turn: the view is the thread's own again. */
static PyObject *turned(int status, const u64 *last)
{
	if (status < 0)
		return fail(status);
	show(&task_view, thread_view);
	return from_word(*last);
}

static struct kemu_task *next_task(PyObject *arg)
{
	u64 slot;

	/* The argument first: its __index__ may be code that calls leave(). */
	if (!as_word(arg, &slot) || !is_task())
		return NULL;
	if (slot >= kemu_self.k->nr_tasks || !load(&kemu_self.k->tasks[slot].used)) {
		fail(KEMU_RANGE);
		return NULL;
	}
	return &kemu_self.k->tasks[slot];
}

static PyObject *py_switch_to(PyObject *module, PyObject *arg)
{
	struct kemu_task *next = next_task(arg);
	u64 last = 0;

	(void)module;
	return next ? turned(kemu_switch_to(&kemu_self, next, &last), &last) : NULL;
}

static PyObject *py_switch_away(PyObject *module, PyObject *arg)
{
	struct kemu_task *next = next_task(arg);

	if (!next)
		return NULL;
	if (next == kemu_self.thread)
		return fail(KEMU_RANGE);
	kemu_switch_away(&kemu_self, next);
	return py_leave(module, NULL);
}

static PyObject *py_wait_turn(PyObject *module, PyObject *unused)
{
	u64 last = 0;

	(void)module, (void)unused;
	return is_task() ? turned(kemu_wait_turn(&kemu_self, &last), &last) : NULL;
}

static PyObject *py_stand_in(PyObject *module, PyObject *swapper_view)
{
	(void)module;
	if (!is_task())
		return NULL;
	kemu_stand_in(&kemu_self);
	show(&task_view, swapper_view);
	Py_RETURN_NONE;
}

static PyObject *py_resign(PyObject *module, PyObject *unused)
{
	u64 last = 0;

	(void)module, (void)unused;
	if (!is_task())
		return NULL;
	if (kemu_self.task == kemu_self.thread)
		return fail(KEMU_BUSY);
	return turned(kemu_resign(&kemu_self, &last), &last);
}

static PyObject *py_idle(PyObject *module, PyObject *unused)
{
	u64 why = 0;
	int status;

	(void)module, (void)unused;
	if (!is_task())
		return NULL;
	status = kemu_idle(&kemu_self, &why);
	if (status < 0)
		return fail(status);
	/* An interrupt may make the reschedule due that the caller looks for. */
	if (why & WHY_IRQ && !(why & WHY_TURN) && !take_pending())
		return NULL;
	return from_word(why);
}

/* ---- preemption and interrupts -------------------------------------------- */

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
	if (!(kemu_self.task->preempt_count & 0xff)) {
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

static PyObject *py_local_irq_save(PyObject *module, PyObject *unused)
{
	struct kemu_cpu *cpu;
	u64 was;

	(void)module, (void)unused;
	if (!is_task())
		return NULL;
	cpu = kemu_this_cpu(&kemu_self);
	was = load(&cpu->irqs_off);
	store(&cpu->irqs_off, 1);
	return from_word(was);
}

static PyObject *py_local_irq_restore(PyObject *module, PyObject *arg)
{
	u64 flags;

	(void)module;
	if (!as_word(arg, &flags) || !is_task())
		return NULL;
	store(&kemu_this_cpu(&kemu_self)->irqs_off, !!flags);
	return then_pending();
}

/* A point where preemption and interrupts are taken, and no more. */
static PyObject *py_cpu_relax(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	if (!is_task())
		return NULL;
	if (kemu_self.reschedules)
		kemu_deliver(&kemu_self);
	if (!is_due())
		kemu_backoff(kemu_self.k, 0, kemu_this_cpu(&kemu_self)->sharers > 1);
	return then_pending();
}

PyMethodDef task_functions[] = {
	FAST("enter", py_enter, "memory, slot, view", "The calling thread becomes the task's."),
	NOARGS("leave", py_leave, "The calling thread is no task any more."),
	NOARGS("current", py_current, "The view of the task that runs."),
	FAST("set_vectors", py_set_vectors, "interrupt, reschedule",
	     "Who is called when an interrupt or a reschedule is taken."),
	ONE("switch_to", py_switch_to, "slot", "Run that task here; returns, when this one runs\n"
	    "again, the slot of who ran before it.  Caller holds rq_lock."),
	ONE("switch_away", py_switch_away, "slot", "The last switch of a task that has died."),
	NOARGS("wait_turn", py_wait_turn, "Sleep until some CPU switches to this task."),
	ONE("stand_in", py_stand_in, "swapper", "Idle in place, in swapper's name."),
	NOARGS("resign", py_resign, "Hand the idle duty to swapper's thread; wait_turn()."),
	NOARGS("idle", py_idle, "Idle until something is due; returns WHY_ bits."),
	NOARGS("smp_processor_id", py_smp_processor_id, "The CPU the task runs on."),
	NOARGS("preempt_count", py_preempt_count, "The current task's."),
	NOARGS("preempt_disable", py_preempt_disable, "Nests."),
	NOARGS("preempt_enable", py_preempt_enable, "May switch tasks."),
	NOARGS("preempt_enable_no_resched", py_preempt_enable_no_resched, "Does not switch tasks."),
	NOARGS("local_irq_save", py_local_irq_save, "Interrupts off; returns the flags."),
	ONE("local_irq_restore", py_local_irq_restore, "flags", "May take an interrupt and switch tasks."),
	NOARGS("cpu_relax", py_cpu_relax, "One step of a polling loop.  May switch tasks."),
	{ 0 },
};
