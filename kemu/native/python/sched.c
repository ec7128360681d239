/*
 * python/sched.c - the scheduler's C halves as Python calls them.
 *
 * A negative result is one of BUG_...: an invariant is broken.  kernel/sched/bug.py turns the
 * number into a sentence and stops the machine.
 */
#include "py.h"

/* The kernel gets the number of a broken invariant; any other failure is an exception. */
PyObject *status_or_bug(int status)
{
	return status >= 0 || status <= KEMU_BUG ? PyLong_FromLong(status) : fail(status);
}

/*
 * 0: no task died.  n > 0: the caller is to free the dead task in slot n - 1.  ENDS: the thread
 * is not a task any more.
 */
static PyObject *switch_result(int status, const u64 *dead)
{
	if (likely(status >= 0))
		return from_word(*dead);
	if (status != KEMU_ENDS)
		return status_or_bug(status);
	Py_XDECREF(py_leave(NULL, NULL));
	return PyLong_FromLong(status);
}

static PyObject *py_schedule(PyObject *module, PyObject *arg)
{
	int preempt = PyObject_IsTrue(arg);
	u64 dead = 0;

	(void)module;
	/* The reschedule vector runs inside such a call already, so it does not begin one. */
	if (preempt < 0 || !(preempt ? is_task() : begins_call()))
		return NULL;
	return switch_result(kemu_schedule(&kemu_self, preempt, &dead), &dead);
}

static PyObject *py_schedule_once(PyObject *module, PyObject *unused)
{
	u64 dead = 0;

	(void)module, (void)unused;
	return is_task() ? switch_result(kemu_switch_once(&kemu_self, false, &dead), &dead) : NULL;
}

static PyObject *py_finish_switch(PyObject *module, PyObject *arg)
{
	u64 last, dead = 0;

	(void)module;
	if (!as_word(arg, &last) || !is_task())
		return NULL;
	if (kemu_self.begun != HAS_TURN)
		return refuse("finish_switch(): this task has no switch to finish; only a new task calls "
			      "it, once, after wait_turn()");
	kemu_self.begun = RUNS;
	return switch_result(kemu_finish_switch(&kemu_self, last, &dead), &dead);
}

/* A mechanism whose first argument names a task of the caller's machine: begins the call. */
static struct kemu_task *call_with_task(PyObject *const *args, Py_ssize_t given, Py_ssize_t wanted,
					u64 *values)
{
	if (!as_words(args, given, wanted, values) || !begins_call())
		return NULL;
	return task_in(kemu_self.k, values[0]);
}

static struct kemu_task *call_with_one(PyObject *arg)
{
	u64 slot;

	return call_with_task(&arg, 1, 1, &slot);
}

static PyObject *py_try_to_wake_up(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[2];
	struct kemu_task *p = call_with_task(args, nargs, 2, v);
	int status;

	(void)module;
	if (!p)
		return NULL;
	if (v[1] & (TASK_DEAD | TASK_WAKING | KEMU_POISON)) {
		PyErr_Format(UsageError, "try_to_wake_up(mask=%lld): a dead task, a task that is being woken and a "
			     "freed task cannot be woken; leave TASK_DEAD (%d) and TASK_WAKING (%d) out",
			     (long long)v[1], TASK_DEAD, TASK_WAKING);
		return NULL;
	}
	status = kemu_try_to_wake_up(&kemu_self, p, v[1]);
	return status < 0 ? status_or_bug(status) : PyBool_FromLong(status);
}

static PyObject *py_select_fallback(PyObject *module, PyObject *arg)
{
	struct kemu_task *p = call_with_one(arg);
	u64 cpu = 0;
	int status;

	(void)module;
	if (!p)
		return NULL;
	status = kemu_select_fallback(kemu_self.k, p, &cpu);
	return status < 0 ? status_or_bug(status) : from_word(cpu);
}

static PyObject *py_program_event(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return is_task() ? done(kemu_program_event(kemu_self.k, kemu_this_cpu(&kemu_self))) : NULL;
}

/* No usual waker matches these states, so a task may use one only if some task wakes or frees it. */
static bool may_set(u64 state)
{
	u64 flags = load(&kemu_self.task->flags);

	if (state == TASK_PARKED && flags & PF_KTHREAD)
		return true;
	if (state == TASK_DEAD && flags & (PF_EXITING | PF_REBORN))
		return true;
	PyErr_Format(UsageError, "set_special_state(%lld): only a kernel thread may be TASK_PARKED (%d), and "
		     "only a task that exits may be TASK_DEAD (%d); otherwise call set_current_state()",
		     (long long)state, TASK_PARKED, TASK_DEAD);
	return false;
}

static PyObject *py_set_special_state(PyObject *module, PyObject *arg)
{
	u64 state;

	(void)module;
	if (!as_word(arg, &state) || !begins_call() || !may_set(state))
		return NULL;
	return done(kemu_set_special_state(&kemu_self, state));
}

/* One number and not a tuple, which would cost more: the task is usually inactive, as wanted. */
static PyObject *py_look_inactive(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[2], what = 0, switches = 0;
	struct kemu_task *p = call_with_task(args, nargs, 2, v);
	int status;

	(void)module;
	if (!p)
		return NULL;
	status = kemu_look_inactive(&kemu_self, p, v[1], &what, &switches);
	if (status < 0)
		return fail(status);
	return what ? PyLong_FromLong(-(long)what) : from_word(switches);
}

static PyObject *complete(PyObject *arg, bool all)
{
	u64 off;
	int status;

	if (!as_word(arg, &off) || !begins_call())
		return NULL;
	status = kemu_complete(&kemu_self, off, all);
	return status < 0 ? status_or_bug(status) : PyLong_FromLong(0);
}

static PyObject *py_complete(PyObject *module, PyObject *arg)
{
	(void)module;
	return complete(arg, false);
}

static PyObject *py_complete_all(PyObject *module, PyObject *arg)
{
	(void)module;
	return complete(arg, true);
}

static PyObject *py_wait_for_completion(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[2] = { 0, KEMU_NEVER }, dead = 0;
	int status;

	(void)module;
	if (!as_words_between(args, nargs, 1, 2, v) || !begins_call())
		return NULL;
	status = kemu_wait_for_completion(&kemu_self, v[0], v[1], &dead);
	if (status == KEMU_PENDING)
		Py_RETURN_NONE;
	return switch_result(status, &dead);
}

/* Returns the flags.  p stays on its CPU until the caller unlocks. */
static PyObject *py_task_rq_lock(PyObject *module, PyObject *arg)
{
	struct kemu_task *p = call_with_one(arg);
	struct kemu_cpu *rq;
	u64 flags;
	int status;

	(void)module;
	if (!p)
		return NULL;
	flags = kemu_irq_save(&kemu_self);
	status = kemu_task_rq_lock(&kemu_self, p, &rq);
	return status < 0 ? fail(status) : from_word(flags);
}

static PyObject *py_usable_mask(PyObject *module, PyObject *arg)
{
	struct kemu_task *p = call_with_one(arg);

	(void)module;
	return p ? from_word(kemu_usable_mask(kemu_self.k, p)) : NULL;
}

PyMethodDef sched_functions[] = {
	ONE("schedule", py_schedule, "preempt",
	    "Sleep if the task's state says so; otherwise let other tasks run.  preempt: the\n"
	    "task is preempted and does not sleep.  Returns 0; one more than the slot of a dead\n"
	    "task, which the caller is to free; ENDS: the thread is not a task any more; or\n"
	    "BUG_...  May switch tasks."),
	NOARGS("schedule_once", py_schedule_once,
	       "schedule(False) for a caller that has turned preemption off: at most one switch."),
	ONE("finish_switch", py_finish_switch, "last",
	    "Finish a new task's first switch, after wait_turn().  Returns what schedule() returns."),
	FAST("try_to_wake_up", py_try_to_wake_up, "slot, mask",
	     "Wake the task if its state is in the mask.  Returns whether it was; or BUG_..."),
	ONE("set_special_state", py_set_special_state, "state",
	    "Set the state of the current task, under its pi_lock."),
	FAST("look_inactive", py_look_inactive, "slot, state",
	     "Whether the task is off its CPU and on no runqueue, and in that state if it is not 0.\n"
	     "Yes: its count of voluntary switches.  No: minus the LOOK_ bits that say why."),
	ONE("select_fallback", py_select_fallback, "slot",
	    "Some CPU for a task that cannot go where it should; or BUG_...  May widen its mask.\n"
	    "Caller holds its pi_lock or rq_lock."),
	ONE("complete", py_complete, "offset", "Add one event to the completion.  Returns 0 or BUG_..."),
	ONE("complete_all", py_complete_all, "offset",
	    "Add events for all tasks, now and later.  Returns 0 or BUG_..."),
	FAST("wait_for_completion", py_wait_for_completion, "offset, deadline=NEVER",
	     "Wait for an event and take it.  Returns 0; or None, if the deadline has passed and no\n"
	     "event has come.  Any other number is a result of schedule(): handle it, call again."),
	ONE("task_rq_lock", py_task_rq_lock, "slot",
	    "Turn interrupts off, take the task's pi_lock, then the rq_lock of its CPU.  Returns\n"
	    "the flags."),
	ONE("usable_mask", py_usable_mask, "slot",
	    "The CPUs that the task may run on: online ones for a kernel thread, otherwise active ones."),
	NOARGS("program_event", py_program_event, "Set this CPU's next event.  Caller holds its timer_lock."),
	{ 0 },
};
