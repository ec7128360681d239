/*
 * py.h - what the files of this folder share; the only file that includes Python.h.
 *
 * No argument from Python can crash the interpreter: the methods check each offset, slot and
 * size, and raise one of kemu.errors for a wrong one.
 */
#ifndef KEMU_PY_H
#define KEMU_PY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "hardware/hardware.h"
#include "sched/sched.h"

/* A mapping.  Each Word of it holds a reference, so the memory stays mapped. */
typedef struct {
	PyObject_HEAD
	struct kemu k;
	u64 serial;		/* no other Memory of the process ever has this number */
	int fd;
} Memory;

typedef struct {
	PyObject_HEAD
	u64 *p;
	struct kemu_header *hdr;
	Memory *memory;
} Word;

/* python/module.c: errors */
extern PyObject *UsageError, *NoTask, *AtomicHold, *OutOfMemory, *MachineError, *MachineStopped;
PyObject *fail(int status);
PyObject *refuse(const char *why);
PyObject *done(int status);
PyObject *status_or(int status, u64 value);

/* python/types.c: the types, which their files describe; each lives as long as the process */
extern PyTypeObject *Memory_Type, *Word_Type, *SpinLock_Type, *List_Type, *Tasks_Type, *RunQueue_Type;
extern PyType_Spec memory_spec, word_spec, spinlock_spec, list_spec, tasks_spec, runqueue_spec;
bool add_types(PyObject *module);
void *new_object(PyTypeObject *type);
void free_object(void *object, Memory *memory);

#include "args.h"

static inline PyObject *from_word(u64 value)
{
	return PyLong_FromLongLong((long long)value);
}

/* python/task.c: the calling thread as a task, and what is due on its CPU */
extern PyMethodDef task_functions[];
void replace_object(PyObject **slot, PyObject *view);
bool is_task(void);
bool is_task_of(Memory *memory);
bool begins_call(void);
bool take_pending(void);
int lock_used(u64 class, u64 use, u64 before);
PyObject *then_pending(void);
PyObject *py_leave(PyObject *module, PyObject *unused);

/* python/sched.c: schedule() and try_to_wake_up() */
extern PyMethodDef sched_functions[];
PyObject *status_or_bug(int status);

/* python/tasks.c */
PyObject *view_in(PyObject *tasks, struct kemu *k, u64 slot);

static inline bool is_due(void)
{
	struct kemu_cpu *cpu = kemu_this_cpu(&kemu_self);

	return kemu_irq_pending(cpu) || kemu_resched_due(&kemu_self, cpu);
}

/* python/{point,cpu,host}.c: functions of the module */
extern PyMethodDef point_functions[], cpu_functions[], host_functions[];

/* python/bell.c, python/ring.c: methods of Memory, for the table in python/memory.c */
PyObject *Memory_kick(Memory *m, PyObject *arg);
PyObject *Memory_send_reschedule(Memory *m, PyObject *arg);
PyObject *Memory_notify_monitor(Memory *m, PyObject *arg);
PyObject *Memory_wait_monitor(Memory *m, PyObject *const *args, Py_ssize_t nargs);
PyObject *Memory_notify_task(Memory *m, PyObject *arg);
PyObject *Memory_notify_all(Memory *m, PyObject *unused);
PyObject *Memory_events(Memory *m, PyObject *const *args, Py_ssize_t nargs);

/* python/word.c */
PyObject *Word_new(PyTypeObject *type, PyObject *args, PyObject *kwds);
void Word_dealloc(Word *w);
int word_gate(Word *w, enum kemu_op op, u64 value);

/* The gate costs one branch when nothing is armed. */
static inline bool pass_gate(Word *w, enum kemu_op op, u64 value)
{
	return !unlikely(load(&w->hdr->gate)) || word_gate(w, op, value) >= 0;
}

/* The rows of a method table.  help() shows the text before -- as the signature. */
#define NOARGS(name, fn, doc)	{ name, (PyCFunction)fn, METH_NOARGS, name "($self, /)\n--\n\n" doc }
#define ONE(name, fn, arg, doc)	{ name, (PyCFunction)fn, METH_O, name "($self, " arg ", /)\n--\n\n" doc }
#define FAST(name, fn, sig, doc) \
	{ name, (PyCFunction)(void (*)(void))fn, METH_FASTCALL, name "($self, " sig ", /)\n--\n\n" doc }

#endif
