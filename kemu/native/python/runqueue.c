/*
 * python/runqueue.c - kemu.native.RunQueue: the queues of one CPU (kernel/sched/runqueue.c).
 *
 * Caller of every method holds the CPU's rq_lock.
 */
#include "py.h"

typedef struct {
	PyObject_HEAD
	Memory *memory;
	struct kemu_cpu *cpu;
} RunQueue;

static PyObject *RunQueue_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	struct kemu_cpu *cpu;
	Memory *memory;
	RunQueue *q;
	u64 id;

	if (!memory_and_word(args, kwds, &memory, &id))
		return NULL;
	cpu = cpu_in(&memory->k, id);
	if (!cpu)
		return NULL;
	q = new_object(type);
	if (!q)
		return NULL;
	q->memory = (Memory *)Py_NewRef((PyObject *)memory);
	q->cpu = cpu;
	return (PyObject *)q;
}

static void RunQueue_dealloc(RunQueue *q)
{
	free_object(q, q->memory);
}

typedef int (*change)(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t);

static PyObject *with_task(RunQueue *q, PyObject *arg, change fn)
{
	struct kemu_task *t = as_task(&q->memory->k, arg);
	int status;

	if (!t)
		return NULL;
	status = fn(&q->memory->k, q->cpu, t);
	return status < 0 ? fail(status) : PyBool_FromLong(status == KEMU_OK);
}

static PyObject *RunQueue_enqueue(RunQueue *q, PyObject *arg)
{
	return with_task(q, arg, kemu_enqueue);
}

static PyObject *RunQueue_dequeue(RunQueue *q, PyObject *arg)
{
	return with_task(q, arg, kemu_dequeue);
}

static PyObject *RunQueue_first(RunQueue *q, PyObject *unused)
{
	u64 slot = 0;
	int status = kemu_first_queued(&q->memory->k, q->cpu, &slot);

	(void)unused;
	return status_or(status, status == KEMU_PENDING ? ~0ULL : slot);
}

static PyObject *change_state(RunQueue *q, PyObject *arg, change fn)
{
	struct kemu_task *t = as_task(&q->memory->k, arg);

	return t ? status_or_bug(fn(&q->memory->k, q->cpu, t)) : NULL;
}

static PyObject *RunQueue_activate(RunQueue *q, PyObject *arg)
{
	return change_state(q, arg, kemu_activate);
}

static PyObject *RunQueue_deactivate(RunQueue *q, PyObject *arg)
{
	return change_state(q, arg, kemu_deactivate);
}

static PyObject *RunQueue_pick_next(RunQueue *q, PyObject *unused)
{
	u64 slot = 0;
	int status = kemu_pick_next(&q->memory->k, q->cpu, &slot);

	(void)unused;
	return status < 0 ? status_or_bug(status) : from_word(slot);
}

static PyObject *RunQueue_check_preempt(RunQueue *q, PyObject *arg)
{
	struct kemu_task *t = as_task(&q->memory->k, arg);

	if (!t || !is_task_of(q->memory))
		return NULL;
	kemu_check_preempt(&q->memory->k, q->cpu, t);
	Py_RETURN_NONE;
}

static PyObject *RunQueue_resched(RunQueue *q, PyObject *unused)
{
	(void)unused;
	if (!is_task_of(q->memory))
		return NULL;
	kemu_resched_curr(&q->memory->k, q->cpu);
	Py_RETURN_NONE;
}

static PyMethodDef runqueue_methods[] = {
	ONE("enqueue", RunQueue_enqueue, "slot",
	    "Queue the task behind its equals.  False: its class has no queue."),
	ONE("dequeue", RunQueue_dequeue, "slot",
	    "Take the task off its queue.  False: the queue of its class does not have it."),
	ONE("activate", RunQueue_activate, "slot", "enqueue(), and set on_rq.  Returns 0 or BUG_..."),
	ONE("deactivate", RunQueue_deactivate, "slot",
	    "dequeue(), and clear on_rq.  Returns 0 or BUG_..."),
	NOARGS("pick_next", RunQueue_pick_next,
	       "The slot of the most urgent queued task, or of the idle task; or BUG_..."),
	ONE("check_preempt", RunQueue_check_preempt, "slot",
	    "The task was just queued: make the CPU call schedule() if it may have to switch."),
	NOARGS("resched", RunQueue_resched, "Make the CPU call schedule() soon."),
	NOARGS("first", RunQueue_first,
	       "The slot of the first task in the most urgent queue; -1: none is queued."),
	{ 0 },
};

static PyType_Slot runqueue_slots[] = {
	{ Py_tp_doc, "RunQueue(memory, cpu, /)\n--\n\nThe queues of a CPU's fair and fifo tasks.\n\n"
			      "Caller of every method holds the CPU's rq_lock." },
	{ Py_tp_new, RunQueue_new },
	{ Py_tp_dealloc, RunQueue_dealloc },
	{ Py_tp_methods, runqueue_methods },
	{ 0 },
};

PyType_Spec runqueue_spec = {
	.name = "kemu.native.RunQueue",
	.basicsize = sizeof(RunQueue),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = runqueue_slots,
};
