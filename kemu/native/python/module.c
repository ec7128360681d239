/*
 * python/module.c - the module kemu.native: errors, constants, and what it asks of the interpreter.
 */
#include <string.h>

#include "py.h"
#include "hardware/trial.h"

PyObject *UsageError, *NoTask, *AtomicHold, *OutOfMemory, *MachineError, *MachineStopped;

static const struct { int status; PyObject **type; const char *text; } failures[] = {
	{ KEMU_STOPPED, &MachineStopped, "the machine has stopped" },
	{ KEMU_NOTASK, &NoTask, "the calling thread is not a task of a machine, and only a task may"
	  " do this: run the function in a task, with Machine.run()" },
	{ KEMU_RANGE, &UsageError, "this memory does not have the given offset, slot, size or name" },
	{ KEMU_NOTOWNER, &UsageError, "the current task does not hold the lock, and only its owner may"
	  " unlock it" },
	{ KEMU_RECURSION, &UsageError, "spinlock recursion: the current task already holds the lock" },
	{ KEMU_FULL, &OutOfMemory, "the shared memory is full: boot with Machine(memory=) of more MiB" },
	{ KEMU_CORRUPT, &MachineError, "a list in shared memory contradicts itself, or a lock names"
	  " an owner that does not exist: something has written over it" },
	{ KEMU_STUCK, &MachineError, "a CPU process has held a lock of the shared memory's allocators"
	  " for half a second: it is stopped or starved, or something has written over the lock;"
	  " try again" },
	{ KEMU_ATOMIC, &AtomicHold, "the task holds a spinlock at that place, so only a hold of"
	  " kind=\"locked\" can hold it there" },
	{ KEMU_BUSY, &UsageError, "the node is already on a list, or the thread is already a task" },
};

PyObject *fail(int status)
{
	if (status == KEMU_RAISED)	/* a vector has set the exception */
		return NULL;
	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++)
		if (failures[i].status == status) {
			PyErr_SetString(*failures[i].type, failures[i].text);
			return NULL;
		}
	return PyErr_SetFromErrno(PyExc_OSError);
}

/* The caller may not make the call: it would wait without end, or end another task's switch. */
PyObject *refuse(const char *why)
{
	PyErr_SetString(UsageError, why);
	return NULL;
}

PyObject *done(int status)
{
	if (unlikely(status < 0))
		return fail(status);
	Py_RETURN_NONE;
}

PyObject *status_or(int status, u64 value)
{
	return status < 0 ? fail(status) : from_word(value);
}

static bool borrow(PyObject *errors, const char *name, PyObject **type)
{
	PyObject *found = PyObject_GetAttrString(errors, name);

	if (!found)
		return false;
	Py_XDECREF(*type);	/* of an earlier import */
	*type = found;
	return true;
}

static bool borrow_errors(void)
{
	PyObject *errors = PyImport_ImportModule("kemu.errors");
	bool ok = errors && borrow(errors, "UsageError", &UsageError) &&
		  borrow(errors, "NoTask", &NoTask) &&
		  borrow(errors, "AtomicHold", &AtomicHold) &&
		  borrow(errors, "OutOfMemory", &OutOfMemory) &&
		  borrow(errors, "MachineError", &MachineError) &&
		  borrow(errors, "MachineStopped", &MachineStopped);

	Py_XDECREF(errors);
	return ok;
}

/* ---- layout.h, for kemu.memory: Python reads each offset from these tables ---- */

struct field { const char *name; size_t offset; };

#define HEADER_FIELD(f)	{ #f, offsetof(struct kemu_header, f) },
#define CPU_FIELD(f)	{ #f, offsetof(struct kemu_cpu, f) },
#define TASK_FIELD(f)	{ #f, offsetof(struct kemu_task, f) },
#define HOLD_FIELD(f)	{ #f, offsetof(struct kemu_hold, f) },
#define CHOOSER_FIELD(f)	{ #f, offsetof(struct kemu_chooser, f) },
#define STEP_FIELD(f)	{ #f, offsetof(struct kemu_step, f) },
#define COMPLETION_FIELD(f) { #f, offsetof(struct kemu_completion, f) },

static const struct field header_fields[] = {
	KEMU_HEADER_FIELDS(HEADER_FIELD) HEADER_FIELD(holds) HEADER_FIELD(report) { 0 }
};
static const struct field cpu_fields[] = {
	KEMU_CPU_FIELDS(CPU_FIELD, CPU_FIELD) CPU_FIELD(rt_queue) { "sizeof", sizeof(struct kemu_cpu) }, { 0 }
};
static const struct field task_fields[] = {
	KEMU_TASK_FIELDS(TASK_FIELD, TASK_FIELD) { "sizeof", sizeof(struct kemu_task) }, { 0 }
};
static const struct field hold_fields[] = {
	KEMU_HOLD_FIELDS(HOLD_FIELD) { "sizeof", sizeof(struct kemu_hold) }, { 0 }
};

static const struct field completion_fields[] = {
	KEMU_COMPLETION_FIELDS(COMPLETION_FIELD) { "sizeof", sizeof(struct kemu_completion) }, { 0 }
};

static const struct field chooser_fields[] = {
	KEMU_CHOOSER_FIELDS(CHOOSER_FIELD) CHOOSER_FIELD(skips) CHOOSER_FIELD(priorities)
	CHOOSER_FIELD(changes) CHOOSER_FIELD(planned)
	{ "sizeof", sizeof(struct kemu_chooser) }, { 0 }
};
static const struct field step_fields[] = {
	KEMU_STEP_FIELDS(STEP_FIELD) { "sizeof", sizeof(struct kemu_step) }, { 0 }
};

static bool add_layout(PyObject *module, const char *name, const struct field *fields)
{
	PyObject *dict = PyDict_New();
	int failed;

	for (const struct field *f = fields; dict && f->name; f++) {
		PyObject *offset = PyLong_FromSize_t(f->offset);

		if (!offset || PyDict_SetItemString(dict, f->name, offset))
			Py_CLEAR(dict);
		Py_XDECREF(offset);
	}
	failed = !dict || PyModule_AddObjectRef(module, name, dict);
	Py_XDECREF(dict);
	return !failed;
}

#define CONSTANT(name)	{ #name, (long long)name }

static const struct { const char *name; long long value; } constants[] = {
	CONSTANT(KEMU_MAX_CPUS), CONSTANT(KEMU_MAX_TASKS), CONSTANT(KEMU_MAX_RT_PRIO),
	CONSTANT(KEMU_MAX_HOLDS), CONSTANT(KEMU_NR_EVENTS), CONSTANT(KEMU_REPORT_SIZE),
	CONSTANT(KEMU_COMM_LEN), CONSTANT(KEMU_POISON), CONSTANT(KEMU_NEVER),
	CONSTANT(KEMU_TURN_REHOME), CONSTANT(KEMU_NR_SYMBOLS), CONSTANT(KEMU_SYMBOL_NAME),
	CONSTANT(GATE_PANIC), CONSTANT(GATE_TRACE), CONSTANT(GATE_OPS), CONSTANT(GATE_HOLD),
	CONSTANT(GATE_JITTER), CONSTANT(GATE_JITTER_OPS), CONSTANT(GATE_QUIESCE),
	CONSTANT(GATE_NO_POINTS), CONSTANT(GATE_LOCKDEP), CONSTANT(LOCK_IN_HARDIRQ),
	CONSTANT(LOCK_HARDIRQS_ON),
	CONSTANT(IPI_CALL_FUNCTION), CONSTANT(IPI_MAILBOX), CONSTANT(IPI_QUIESCENT),
	CONSTANT(IPI_INIT),
	CONSTANT(CPU_BUSY), CONSTANT(CPU_IDLE), CONSTANT(CPU_HELD),
	CONSTANT(HOLD_STALL), CONSTANT(HOLD_PREEMPTIBLE), CONSTANT(HOLD_LOCKED),
	CONSTANT(HOLD_ARMED), CONSTANT(HOLD_HELD), CONSTANT(HOLD_PASSED),
	CONSTANT(HOLD_WAITED_FOR), CONSTANT(HOLD_ALL_BLOCKED),
	CONSTANT(CLASS_IDLE), CONSTANT(CLASS_FAIR), CONSTANT(CLASS_RT), CONSTANT(CLASS_STOP),
	CONSTANT(TASK_RUNNING), CONSTANT(TASK_UNINTERRUPTIBLE), CONSTANT(TASK_NORMAL),
	CONSTANT(TASK_DEAD), CONSTANT(TASK_WAKING), CONSTANT(TASK_PARKED), CONSTANT(PF_EXITING), CONSTANT(PF_KTHREAD),
	CONSTANT(PF_REBORN),
	CONSTANT(KEMU_COMPLETE_ALL),
	CONSTANT(EVENT_POINT), CONSTANT(EVENT_OP), CONSTANT(EVENT_SCHED_SWITCH),
	CONSTANT(EVENT_SCHED_WAKING), CONSTANT(EVENT_SCHED_WAKEUP),
	CONSTANT(EVENT_SCHED_MIGRATE_TASK), CONSTANT(EVENT_SCHED_WAIT_TASK),
	CONSTANT(LOOK_RUNNING), CONSTANT(LOOK_QUEUED), CONSTANT(LOOK_OTHER_STATE), CONSTANT(EVENT_PREEMPTED),
	CONSTANT(KEMU_ENDS), CONSTANT(KEMU_BUG_CPU), CONSTANT(KEMU_BUG_DEAD_CPU),
	CONSTANT(KEMU_BUG_CLASS), CONSTANT(KEMU_BUG_QUEUE), CONSTANT(KEMU_BUG_COUNT),
	CONSTANT(KEMU_BUG_SLEEPS), CONSTANT(KEMU_BUG_ATOMIC), CONSTANT(KEMU_BUG_GONE),
	CONSTANT(KEMU_BUG_NOWHERE), CONSTANT(KEMU_BUG_ITSELF),
	CONSTANT(GATE_CONTROL), CONSTANT(KEMU_MAX_SKIPS), CONSTANT(KEMU_MAX_CHANGES), CONSTANT(KEMU_FAIR_AFTER),
	CONSTANT(KEMU_MAX_PLANNED), CONSTANT(KEMU_NO_CHOICE),
	CONSTANT(ALT_CPU), CONSTANT(ALT_IRQ), CONSTANT(ALT_DRAIN), CONSTANT(ALT_VALUE),
	CONSTANT(KEMU_MAX_VALUES), CONSTANT(STEP_READS), CONSTANT(STEP_WRITES),
	CONSTANT(STEP_IRQS_ON), CONSTANT(STEP_PREEMPTIBLE), CONSTANT(CHOOSE_IRQS), CONSTANT(CHOOSE_TICKS),
	CONSTANT(RULE_STAY), CONSTANT(RULE_RANDOM), CONSTANT(RULE_PCT),
	CONSTANT(OUTCOME_RUNS), CONSTANT(OUTCOME_QUIET), CONSTANT(OUTCOME_DEADLOCK),
	CONSTANT(OUTCOME_TOO_LONG),
	CONSTANT(OP_LOAD), CONSTANT(OP_STORE), CONSTANT(OP_XCHG), CONSTANT(OP_CMPXCHG),
	CONSTANT(OP_ADD), CONSTANT(OP_OR), CONSTANT(OP_AND), CONSTANT(OP_WAIT), CONSTANT(OP_LOCK),
	CONSTANT(OP_UNLOCK), CONSTANT(OP_POINT), CONSTANT(OP_START), CONSTANT(OP_RELAX),
	CONSTANT(OP_IDLE), CONSTANT(OP_IRQ), CONSTANT(OP_FENCE), CONSTANT(OP_DRAIN), CONSTANT(OP_PICK),
	CONSTANT(OP_TURN),
	CONSTANT(WAY_PLAIN), CONSTANT(WAY_LATE), CONSTANT(WAY_OLDER), CONSTANT(WAY_OWN),
	CONSTANT(MEMORY_SC), CONSTANT(MEMORY_TSO), CONSTANT(MEMORY_WEAK),
	CONSTANT(BASE_MEMORY), CONSTANT(BASE_TASK), CONSTANT(BASE_KTHREAD),
	CONSTANT(COUNTS), CONSTANT(COUNTS_FROM_OWN_START), CONSTANT(COUNTS_FROM_ANY_START),
	CONSTANT(WHY_RESCHED), CONSTANT(WHY_IRQ), CONSTANT(WHY_TURN),
};

static bool add_constants(PyObject *module)
{
	for (size_t i = 0; i < sizeof(constants) / sizeof(*constants); i++) {
		const char *name = constants[i].name;
		PyObject *value = PyLong_FromLongLong(constants[i].value);

		int failed;

		if (!strncmp(name, "KEMU_", 5))
			name += 5;
		failed = !value || PyModule_AddObjectRef(module, name, value);
		Py_XDECREF(value);
		if (failed)
			return false;
	}
	return true;
}

static bool add_functions(PyObject *module)
{
	return !PyModule_AddFunctions(module, task_functions) &&
	       !PyModule_AddFunctions(module, point_functions) &&
	       !PyModule_AddFunctions(module, cpu_functions) &&
	       !PyModule_AddFunctions(module, host_functions) &&
	       !PyModule_AddFunctions(module, sched_functions);
}

static bool add_layouts(PyObject *module)
{
	return add_layout(module, "HEADER", header_fields) && add_layout(module, "CPU", cpu_fields) &&
	       add_layout(module, "TASK", task_fields) && add_layout(module, "HOLD", hold_fields) &&
	       add_layout(module, "COMPLETION", completion_fields) &&
	       add_layout(module, "CHOOSER", chooser_fields) && add_layout(module, "STEP", step_fields);
}

static void *drop_gil(void)		{ return PyEval_SaveThread(); }
static void take_gil(void *state)	{ PyEval_RestoreThread(state); }
static int take_due(void)		{ return take_pending() ? KEMU_OK : KEMU_RAISED; }

/*
 * Python 3.12 and later ask the slots below.  Python 3.11 has no such slot, so the number of the
 * interpreter says whether it is the main one.
 */
static int fill_module(PyObject *module)
{
	if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {
		PyErr_SetString(PyExc_ImportError, "kemu.native keeps one machine's tasks for the whole "
				"process, so only the main interpreter may import it: use another process");
		return -1;
	}
	kemu_host = (struct kemu_host) { drop_gil, take_gil, take_due, lock_used };
	return borrow_errors() && add_functions(module) && add_types(module) &&
	       add_constants(module) && add_layouts(module) ? 0 : -1;
}

/* The limited API of 3.11 lacks these; the ABI fixes their values. */
#ifndef Py_mod_multiple_interpreters
#define Py_mod_multiple_interpreters		3
#define Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED	((void *)0)
#endif
#ifndef Py_mod_gil
#define Py_mod_gil				4
#define Py_MOD_GIL_USED				((void *)0)
#endif

static PyModuleDef_Slot slots[4] = {	/* declare() fills in the others; the last is 0 */
	{ Py_mod_exec, fill_module },
};

static struct PyModuleDef module_def = {
	PyModuleDef_HEAD_INIT,
	.m_name = "kemu.native._hardware",
	.m_doc = PyDoc_STR("Shared words, turns, bells, locks, the gate and the trace rings."),
	.m_slots = slots,
};

/*
 * Says what the module needs of the interpreter.  One file serves every Python (abi3), and each
 * refuses a slot that it does not know, so the Python that runs decides and not the headers.
 *
 * multiple interpreters: not supported.  The vectors, the table of tasks, the names of points,
 * the errors and the types are static, and kemu_self belongs to a thread, whatever interpreter
 * the thread runs.
 *
 * gil: used.  The interpreter's lock guards those statics, the serial numbers of the memories,
 * the table of views (python/tasks.c), and a SpinLock's cached class.  A free-threaded Python
 * turns its lock on when it imports the module.
 */
static void declare(void)
{
	PyModuleDef_Slot *next = &slots[1];

	if (Py_Version >= 0x030c0000)
		*next++ = (PyModuleDef_Slot) { Py_mod_multiple_interpreters,
					       Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED };
	if (Py_Version >= 0x030d0000)
		*next++ = (PyModuleDef_Slot) { Py_mod_gil, Py_MOD_GIL_USED };
}

PyMODINIT_FUNC PyInit__hardware(void)
{
	declare();
	return PyModuleDef_Init(&module_def);
}
