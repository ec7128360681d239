/*
 * python/memory.c - kemu.native.Memory: the mapping, and the allocators in it.
 *
 * Each process that holds the descriptor may map the memory: the controller, the helper, the
 * CPU processes.  The memory stays mapped while a Word of it lives.  It is never on disk.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "py.h"

#define HEAP_LARGEST ((64ULL << (KEMU_HEAP_CLASSES - 1)) - sizeof(u64))
#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* The interpreter's lock guards it. */
static u64 serial;

static bool map(Memory *m, int fd, u64 size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return false;
	m->serial = ++serial;
	m->k.base = base;
	m->k.size = size;
	m->fd = fd;
	return true;
}

/* Memory.create(nr_cpus, nr_tasks, heap, arena): a new memory, formatted. */
static PyObject *Memory_create(PyObject *type, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[4], size;
	Memory *m;
	int fd;

	if (!as_words(args, nargs, 4, v))
		return NULL;
	if (v[0] < 1 || v[0] > KEMU_MAX_CPUS || v[1] < v[0] || v[1] > KEMU_MAX_TASKS ||
	    v[2] > KEMU_MAX_BYTES || v[3] > KEMU_MAX_BYTES)
		return fail(KEMU_RANGE);
	m = new_object((PyTypeObject *)type);
	if (!m)
		return NULL;
	m->fd = -1;
	size = kemu_size(v[0], v[1], v[2], v[3]);
	fd = memfd_create("kemu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Sealed, because otherwise a process with the descriptor could cut it: SIGBUS for us. */
	if (fd < 0 || ftruncate(fd, (off_t)size) || fcntl(fd, F_ADD_SEALS, SEALS) ||
	    !map(m, fd, size)) {
		PyErr_SetFromErrno(PyExc_OSError);
		if (fd >= 0)
			close(fd);
		Py_DECREF(m);
		return NULL;
	}
	kemu_format(&m->k, v[0], v[1], v[2], v[3]);
	return (PyObject *)m;
}

/* Memory(fd): attaches to a memory that another process created.  Keeps its own descriptor. */
static PyObject *Memory_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	static char *names[] = { "fd", NULL };
	struct stat st;
	Memory *m;
	int fd;

	if (!PyArg_ParseTupleAndKeywords(args, kwds, "i", names, &fd))
		return NULL;
	m = new_object(type);
	if (!m)
		return NULL;
	m->fd = -1;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || fstat(fd, &st) || !map(m, fd, (u64)st.st_size)) {
		PyErr_SetFromErrno(PyExc_OSError);
		if (fd >= 0)
			close(fd);
		Py_DECREF(m);
		return NULL;
	}
	if (kemu_attach(&m->k, m->k.base, m->k.size) < 0) {
		Py_DECREF(m);
		PyErr_SetString(UsageError, "the descriptor is not a machine's memory");
		return NULL;
	}
	return (PyObject *)m;
}

static void Memory_dealloc(Memory *m)
{
	if (m->k.base)
		munmap(m->k.base, m->k.size);
	if (m->fd >= 0)
		close(m->fd);
	free_object(m, NULL);
}

static PyObject *Memory_fileno(Memory *m, PyObject *unused)
{
	(void)unused;
	return PyLong_FromLong(m->fd);
}

/* The text says what has run out and what helps; size is its number. */
static PyObject *full(const char *text, u64 size)
{
	PyErr_Format(OutOfMemory, text, (unsigned long long)size);
	return NULL;
}

static PyObject *Memory_task_alloc(Memory *m, PyObject *unused)
{
	u64 slot = 0;
	int status = kemu_task_alloc(&m->k, &slot);

	(void)unused;
	if (status == KEMU_FULL)
		return full("all %llu task slots are in use: stop some threads, or boot with "
			    "a larger Machine(tasks=)", m->k.nr_tasks);
	return status_or(status, slot);
}

static PyObject *Memory_task_free(Memory *m, PyObject *arg)
{
	u64 slot;

	return as_word(arg, &slot) ? done(kemu_task_free(&m->k, slot)) : NULL;
}

/* symbol(name): the offset of the word that has this name in every process. */
static PyObject *Memory_symbol(Memory *m, PyObject *arg)
{
	Py_ssize_t len;
	const char *name = PyUnicode_AsUTF8AndSize(arg, &len);
	u64 index = 0;
	int status;

	if (!name)	/* not text, or text that has no UTF-8 */
		return PyErr_ExceptionMatches(PyExc_UnicodeError) ? fail(KEMU_RANGE) : NULL;
	status = kemu_symbol(&m->k, name, (u64)len, &index);
	if (status == KEMU_FULL)
		return full("all %llu names of points, per-CPU variables, hotplug callbacks and "
			    "overrides are in use: use fewer names", KEMU_NR_SYMBOLS);
	return status_or(status, m->k.symbols + index * sizeof(struct kemu_symbol));
}

static PyObject *Memory_symbol_name(Memory *m, PyObject *arg)
{
	struct kemu_symbol *table = (struct kemu_symbol *)(m->k.base + m->k.symbols);
	u64 off, index;

	if (!as_word(arg, &off))
		return NULL;
	index = (off - m->k.symbols) / sizeof(struct kemu_symbol);
	if (off < m->k.symbols || (off - m->k.symbols) % sizeof(struct kemu_symbol) ||
	    index >= KEMU_NR_SYMBOLS || index >= load_acquire(&m->k.hdr->nr_symbols))
		return fail(KEMU_RANGE);
	return PyUnicode_DecodeUTF8(table[index].name,
				    (Py_ssize_t)strnlen(table[index].name, KEMU_SYMBOL_NAME), "replace");
}

static PyObject *Memory_publish(Memory *m, PyObject *arg)
{
	char *data;
	Py_ssize_t len;
	u64 off = 0;
	int status;

	if (PyBytes_AsStringAndSize(arg, &data, &len))
		return NULL;
	status = kemu_publish(&m->k, data, (u64)len, &off);
	if (status == KEMU_FULL)
		return full("no room for a function of %llu bytes, which the machine never frees: send the "
			    "same function each time and not a new lambda, or boot with "
			    "Machine(memory=) of more MiB", (u64)len);
	return status_or(status, off);
}

static PyObject *Memory_published(Memory *m, PyObject *arg)
{
	u64 off, len;

	if (!as_word(arg, &off))
		return NULL;
	if (off < m->k.arena || off >= m->k.arena_end || off % 64)
		return fail(KEMU_RANGE);
	len = load_acquire((u64 *)(m->k.base + off));
	if (len > m->k.arena_end - off - sizeof(u64))
		return fail(KEMU_RANGE);
	return PyBytes_FromStringAndSize(m->k.base + off + sizeof(u64), (Py_ssize_t)len);
}

static PyObject *Memory_heap_alloc(Memory *m, PyObject *arg)
{
	u64 size, off = 0;
	int status;

	if (!as_word(arg, &size))
		return NULL;
	status = kemu_heap_alloc(&m->k, size, &off);
	if (status == KEMU_FULL && size > HEAP_LARGEST)
		return full("%llu bytes in one piece: arguments, data and structures may have at most "
			    "4 MiB; send a file's name instead, or smaller parts", size);
	if (status == KEMU_FULL)
		return full("no room for %llu bytes in the shared heap: free some, or boot with "
			    "Machine(memory=) of more MiB", size);
	return status_or(status, off);
}

static PyObject *Memory_heap_free(Memory *m, PyObject *arg)
{
	u64 off;

	return as_word(arg, &off) ? done(kemu_heap_free(&m->k, off)) : NULL;
}

/* read(offset, length): any bytes of the memory, as they are now. */
static PyObject *Memory_read(Memory *m, PyObject *const *args, Py_ssize_t nargs)
{
	u64 v[2];

	if (!as_words(args, nargs, 2, v))
		return NULL;
	if (v[0] > m->k.size || v[1] > m->k.size - v[0])
		return fail(KEMU_RANGE);
	return PyBytes_FromStringAndSize(m->k.base + v[0], (Py_ssize_t)v[1]);
}

/* write(offset, bytes): writes only to a block of the heap or to the report. */
static PyObject *Memory_write(Memory *m, PyObject *const *args, Py_ssize_t nargs)
{
	u64 off, report = (u64)((char *)m->k.hdr->report - m->k.base), room;
	char *data;
	Py_ssize_t len;

	if (nargs != 2) {
		PyErr_SetString(PyExc_TypeError, "write(offset, bytes)");
		return NULL;
	}
	if (!as_word(args[0], &off) || PyBytes_AsStringAndSize(args[1], &data, &len))
		return NULL;
	room = off == report ? KEMU_REPORT_SIZE : kemu_heap_usable(&m->k, off);
	if ((u64)len > room)
		return fail(KEMU_RANGE);
	memcpy(m->k.base + off, data, (size_t)len);
	Py_RETURN_NONE;
}

static PyObject *list_op(Memory *m, PyObject *const *args, Py_ssize_t nargs, bool tail)
{
	u64 v[2];

	return as_words(args, nargs, 2, v) ? done(kemu_list_add(&m->k, v[0], v[1], tail)) : NULL;
}

static PyObject *Memory_list_add(Memory *m, PyObject *const *args, Py_ssize_t nargs)
{
	return list_op(m, args, nargs, false);
}

static PyObject *Memory_list_add_tail(Memory *m, PyObject *const *args, Py_ssize_t nargs)
{
	return list_op(m, args, nargs, true);
}

static PyObject *Memory_list_del(Memory *m, PyObject *arg)
{
	u64 node;

	return as_word(arg, &node) ? done(kemu_list_del(&m->k, node)) : NULL;
}

static PyObject *Memory_list_next(Memory *m, PyObject *arg)
{
	u64 node, next = 0;
	int status;

	if (!as_word(arg, &node))
		return NULL;
	status = kemu_list_next(&m->k, node, &next);
	return status_or(status, next);
}

static PyObject *Memory_all_blocked(Memory *m, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(kemu_all_blocked(&m->k));
}

static PyObject *Memory_end_hold_of(Memory *m, PyObject *arg)
{
	struct kemu_task *t = as_task(&m->k, arg);

	if (!t)
		return NULL;
	if (load(&m->k.hdr->gate) & GATE_HOLD)
		kemu_end_hold_of(&m->k, t);
	Py_RETURN_NONE;
}

/* The numbers that were checked when the memory was mapped, not what the header says now. */
static PyObject *Memory_number(Memory *m, void *offset)
{
	return from_word(*(u64 *)((char *)m + (size_t)offset));
}

static PyObject *Memory_place(Memory *m, void *offset)
{
	return from_word((u64)(*(char **)((char *)m + (size_t)offset) - m->k.base));
}

#define NUMBER(name, field, doc) { name, (getter)Memory_number, NULL, doc, (void *)offsetof(Memory, field) }
#define PLACE(name, field, doc) { name, (getter)Memory_place, NULL, doc, (void *)offsetof(Memory, field) }

static PyGetSetDef memory_getset[] = {
	NUMBER("serial", serial,
	       "A number that no other Memory of this process ever has: a key for caches."),
	NUMBER("size", k.size, "The size of the memory, in bytes."),
	NUMBER("nr_cpus", k.nr_cpus, "How many CPUs the memory has."),
	NUMBER("nr_tasks", k.nr_tasks, "How many task slots the memory has."),
	NUMBER("symbols", k.symbols, "The offset of the symbols, in bytes."),
	PLACE("cpus", k.cpus, "The offset of the CPUs, in bytes."),
	PLACE("tasks", k.tasks, "The offset of the task slots, in bytes."),
	{ 0 },
};

static PyMethodDef memory_methods[] = {
	{ "create", (PyCFunction)(void (*)(void))Memory_create, METH_FASTCALL | METH_CLASS,
	  "create($type, nr_cpus, nr_tasks, heap, arena, /)\n--\n\n"
	  "Make a new memory.  heap and arena are sizes in bytes." },
	NOARGS("fileno", Memory_fileno, "The descriptor of the memfd."),
	NOARGS("task_alloc", Memory_task_alloc,
	       "Allocate a task slot.  Adds 1 to its generation; returns the slot."),
	ONE("task_free", Memory_task_free, "slot", "Free the slot.  Its state becomes POISON."),
	ONE("symbol", Memory_symbol, "name", "The offset of the word that has this name."),
	ONE("symbol_name", Memory_symbol_name, "offset", "The name of the word at that offset."),
	ONE("publish", Memory_publish, "data", "Copy the bytes to the arena.  Returns their offset."),
	ONE("published", Memory_published, "offset", "The bytes that were published at that offset."),
	ONE("heap_alloc", Memory_heap_alloc, "size",
	    "Allocate a block of the heap.  It is zero.  Returns its offset."),
	ONE("heap_free", Memory_heap_free, "offset",
	    "Free a block.  To free it twice is an error."),
	FAST("read", Memory_read, "offset, length", "A copy of the bytes as they are now."),
	FAST("write", Memory_write, "offset, data",
	     "Write the bytes to a block of the heap, or to the report."),
	FAST("list_add", Memory_list_add, "head, node",
	     "Put the node in front of all others.  Caller holds the list's lock."),
	FAST("list_add_tail", Memory_list_add_tail, "head, node",
	     "Put the node behind all others.  Caller holds the list's lock."),
	ONE("list_del", Memory_list_del, "node",
	    "Take the node off its list (list_del_init()).  Caller holds the list's lock."),
	ONE("list_next", Memory_list_next, "node",
	    "The node after this one; after the last node comes the head."),
	ONE("kick", Memory_kick, "cpu",
	    "Make the CPU look at need_resched and ipi, which the caller has stored.  Full barrier."),
	ONE("send_reschedule", Memory_send_reschedule, "cpu",
	    "Kick the CPU as soon as the caller holds no spinlock."),
	ONE("notify_monitor", Memory_notify_monitor, "cpu", "Wake the CPU process's main thread."),
	FAST("wait_monitor", Memory_wait_monitor, "cpu, timeout_ns",
	     "Sleep until the CPU's monitor bell rings.  It may return for no reason."),
	ONE("notify_task", Memory_notify_task, "slot",
	    "Wake the task's thread, so that it looks at its turn."),
	NOARGS("notify_all", Memory_notify_all, "Ring every bell, after a panic."),
	NOARGS("all_blocked", Memory_all_blocked, "Whether no CPU has anything to do."),
	ONE("end_hold_of", Memory_end_hold_of, "slot", "Let the task go if a script holds it."),
	FAST("events", Memory_events, "cpu, since",
	     "(head, events): how many events the CPU has ever written, and those from number\n"
	     "since that are left."),
	{ 0 },
};

static PyType_Slot memory_slots[] = {
	{ Py_tp_doc, "Memory(fd)\n--\n\nA machine's shared memory." },
	{ Py_tp_new, Memory_new },
	{ Py_tp_dealloc, Memory_dealloc },
	{ Py_tp_methods, memory_methods },
	{ Py_tp_getset, memory_getset },
	{ 0 },
};

PyType_Spec memory_spec = {
	.name = "kemu.native.Memory",
	.basicsize = sizeof(Memory),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = memory_slots,
};
