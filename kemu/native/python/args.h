/*
 * python/args.h - reads the arguments of a call: numbers, and what they name (a task, a CPU).
 *
 * Only here does a number from Python become a pointer, after the check that the memory has it.
 * Reading a number may run an __index__, which may call leave().  So a method reads all of its
 * numbers first, then looks at the calling thread, then asks for the task or the CPU.
 *
 * Inline: with a constant count the loop of as_words() costs nothing.
 */
#ifndef KEMU_PY_ARGS_H
#define KEMU_PY_ARGS_H

/* python/args.c */
bool wrong_count(Py_ssize_t given, Py_ssize_t least, Py_ssize_t most);
Memory *memory_and(PyObject *args, PyObject *kwds, PyObject **other);
bool memory_and_word(PyObject *args, PyObject *kwds, Memory **memory, u64 *value);

static inline bool as_word(PyObject *arg, u64 *value)
{
	long long v = PyLong_AsLongLong(arg);

	*value = (u64)v;
	return likely(v != -1) || !PyErr_Occurred();
}

/* From `least` to `most` numbers.  A number that is not given stays as the caller set it. */
static inline bool as_words_between(PyObject *const *args, Py_ssize_t given, Py_ssize_t least,
				    Py_ssize_t most, u64 *values)
{
	if (unlikely(given < least || given > most))
		return wrong_count(given, least, most);
	for (Py_ssize_t i = 0; i < given; i++)
		if (!as_word(args[i], &values[i]))
			return false;
	return true;
}

static inline bool as_words(PyObject *const *args, Py_ssize_t given, Py_ssize_t wanted, u64 *values)
{
	if (unlikely(given != wanted))
		return wrong_count(given, wanted, wanted);
	for (Py_ssize_t i = 0; i < wanted; i++)
		if (!as_word(args[i], &values[i]))
			return false;
	return true;
}

/* The task in the slot.  NULL: the memory has no such slot, and an exception is set. */
static inline struct kemu_task *task_in(struct kemu *k, u64 slot)
{
	if (likely(slot < k->nr_tasks))
		return &k->tasks[slot];
	fail(KEMU_RANGE);
	return NULL;
}

static inline struct kemu_cpu *cpu_in(struct kemu *k, u64 id)
{
	if (likely(id < k->nr_cpus))
		return &k->cpus[id];
	fail(KEMU_RANGE);
	return NULL;
}

/* The same, for a slot that may be -1: no task. */
static inline bool may_be_task(struct kemu *k, u64 slot, struct kemu_task **task)
{
	*task = slot == ~0ULL ? NULL : task_in(k, slot);
	return *task || slot == ~0ULL;
}

static inline struct kemu_task *as_task(struct kemu *k, PyObject *arg)
{
	u64 slot;

	return as_word(arg, &slot) ? task_in(k, slot) : NULL;
}

static inline struct kemu_cpu *as_cpu(struct kemu *k, PyObject *arg)
{
	u64 id;

	return as_word(arg, &id) ? cpu_in(k, id) : NULL;
}

#endif
