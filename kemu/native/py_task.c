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

static PyObject *irq_vector, *resched_vector, *point_names;
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

static void show(PyObject **slot, PyObject *view)
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

static PyObject *py_need_resched(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? PyBool_FromLong(!!load(&kemu_this_cpu(&kemu_self)->need_resched)) : NULL;
}

static PyObject *py_irqs_disabled(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? PyBool_FromLong(!!load(&kemu_this_cpu(&kemu_self)->irqs_off)) : NULL;
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

/* ---- points, trace, time, host -------------------------------------------- */

/* set_point_names(mapping): from a point's name to its symbol. */
static PyObject *py_set_point_names(PyObject *module, PyObject *mapping)
{
	(void)module;
	show(&point_names, mapping);
	Py_RETURN_NONE;
}

static bool point_number(PyObject *arg, u64 *point)
{
	PyObject *number;
	bool known;

	if (PyLong_Check(arg) || !point_names)
		return as_word(arg, point);
	number = PyObject_GetItem(point_names, arg);
	known = number && as_word(number, point);
	Py_XDECREF(number);
	return known;
}

/* The usual case, nothing armed, does not look the name up. */
static PyObject *py_point(PyObject *module, PyObject *arg)
{
	struct kemu_self *s = &kemu_self;
	u64 point;
	int status;

	(void)module;
	if (!PyUnicode_Check(arg) && !PyLong_Check(arg)) {
		PyErr_SetString(PyExc_TypeError, "point(name or number)");
		return NULL;
	}
	if (!is_task())
		return NULL;
	if (!load(&s->k->hdr->gate))
		Py_RETURN_NONE;
	/* Looking the name up may run code, which may call leave(). */
	if (!point_number(arg, &point) || !is_task())
		return NULL;
	status = kemu_point(s, point);
	while (status == KEMU_PENDING) {
		if (!take_pending())
			return NULL;
		status = kemu_held(s);
	}
	return done(status);
}

/* A number, or a word whose value is wanted only if there is a trace to put it in. */
static bool as_value(PyObject *arg, bool wanted, u64 *value)
{
	if (!PyObject_TypeCheck(arg, &Word_Type))
		return as_word(arg, value);
	if (wanted)
		*value = load(((Word *)arg)->p);
	return true;
}

/* trace(event, subject's slot or -1, a, b, c) */
static PyObject *py_trace(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[5] = { 0 };
	bool tracing;

	(void)module;
	if (nargs < 2 || nargs > 5) {
		PyErr_SetString(PyExc_TypeError, "trace(event, slot, a=0, b=0, c=0)");
		return NULL;
	}
	if (!is_task())
		return NULL;
	tracing = load(&kemu_self.k->hdr->gate) & GATE_TRACE;
	for (Py_ssize_t i = 0; i < nargs; i++)
		if (!as_value(args[i], tracing, &v[i]))
			return NULL;
	if (!tracing)
		Py_RETURN_NONE;
	if (!is_task())		/* an __index__ may be code that calls leave() */
		return NULL;
	if (v[1] != ~0ULL && v[1] >= kemu_self.k->nr_tasks)
		return fail(KEMU_RANGE);
	kemu_trace(&kemu_self, v[0], v[1] == ~0ULL ? NULL : &kemu_self.k->tasks[v[1]], v[2], v[3], v[4]);
	Py_RETURN_NONE;
}

static PyObject *py_now_ns(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return from_word(kemu_now());
}

static PyObject *py_getcpu(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return PyLong_FromLong(kemu_getcpu());
}

static PyObject *py_smp_mb(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	smp_mb();
	Py_RETURN_NONE;
}

static PyObject *py_pin(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[2];

	(void)module;
	if (!as_words(args, nargs, 2, v))
		return NULL;
	if (v[0] > 0x7fffffff || v[1] >= KEMU_MAX_CORES)
		return fail(KEMU_RANGE);
	return done(kemu_pin(v[0], v[1]));
}

static PyObject *py_die_with_parent(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return done(kemu_die_with_parent());
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
	NOARGS("need_resched", py_need_resched, "Whether this CPU was asked to schedule()."),
	NOARGS("irqs_disabled", py_irqs_disabled, "Whether this CPU takes no interrupts now."),
	NOARGS("local_irq_save", py_local_irq_save, "Interrupts off; returns the flags."),
	ONE("local_irq_restore", py_local_irq_restore, "flags", "May take an interrupt and switch tasks."),
	NOARGS("cpu_relax", py_cpu_relax, "One step of a polling loop.  May switch tasks."),
	ONE("set_point_names", py_set_point_names, "mapping", "From a point's name to its symbol."),
	ONE("point", py_point, "name_or_number", "A named point: traced, held, delayed as armed."),
	FAST("trace", py_trace, "event, slot, a=0, b=0, c=0",
	     "An event into this CPU's ring, if tracing.  A word given for a, b or c is read then."),
	NOARGS("now_ns", py_now_ns, "CLOCK_MONOTONIC, in nanoseconds."),
	NOARGS("getcpu", py_getcpu, "The host core the thread is on."),
	NOARGS("smp_mb", py_smp_mb, "A full barrier."),
	NOARGS("die_with_parent", py_die_with_parent, "SIGKILL when the parent's thread ends."),
	FAST("pin", py_pin, "tid, core", "Bind a host thread to a host core."),
	{ 0 },
};
