/*
 * python/memory.c - kemu.native.Memory: the mapping, and the allocators in it.
 *
 * Anybody who holds the descriptor may map it and look: the controller, the
 * helper, the CPUs.  It stays mapped while a Word of it lives; nothing of it is
 * ever on disk.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "py.h"

#define HEAP_LARGEST ((64ULL << (KEMU_HEAP_CLASSES - 1)) - sizeof(u64))
#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Under the interpreter's lock. */
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

/* Memory.create(nr_cpus, nr_tasks, heap, arena): a new one, formatted. */
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
	m = (Memory *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
	if (!m)
		return NULL;
	m->fd = -1;
	size = kemu_size(v[0], v[1], v[2], v[3]);
	fd = memfd_create("kemu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* Sealed: whoever holds the descriptor could cut it, and we would get SIGBUS. */
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

/* Memory(fd): attach to one that somebody else created.  Keeps its own descriptor. */
static PyObject *Memory_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
	static char *names[] = { "fd", NULL };
	struct stat st;
	Memory *m;
	int fd;

	if (!PyArg_ParseTupleAndKeywords(args, kwds, "i", names, &fd))
		return NULL;
	m = (Memory *)type->tp_alloc(type, 0);
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
	Py_TYPE(m)->tp_free(m);
}

static PyObject *Memory_fileno(Memory *m, PyObject *unused)
{
	(void)unused;
	return PyLong_FromLong(m->fd);
}

/* What has run out, and what helps; size: of what was asked for, if that matters. */
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
			    "Machine(tasks=) of more", m->k.nr_tasks);
	return status_or(status, slot);
}

static PyObject *Memory_task_free(Memory *m, PyObject *arg)
{
	u64 slot;

	return as_word(arg, &slot) ? done(kemu_task_free(&m->k, slot)) : NULL;
}

/* symbol(name): the offset of the word that goes by the name in every process. */
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
		return full("all %llu names are in use, of points, per-CPU variables, hotplug callbacks "
			    "and overrides: use fewer", KEMU_NR_SYMBOLS);
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
		return full("no room for a function of %llu bytes, which are kept for good: send the same "
			    "function and not a new lambda each time, or boot with Machine(memory=) of "
			    "more MiB", (u64)len);
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
		return full("%llu bytes in one piece: arguments, data and structures have at most "
			    "4 MiB; send a file's name, or parts", size);
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

/* write(offset, bytes): only into a block of the heap, or the report. */
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
	u64 slot;

	if (!as_word(arg, &slot))
		return NULL;
	if (slot >= m->k.nr_tasks)
		return fail(KEMU_RANGE);
	if (load(&m->k.hdr->gate) & GATE_HOLD)
		kemu_end_hold_of(&m->k, &m->k.tasks[slot]);
	Py_RETURN_NONE;
}

/* The shape is what was checked when the memory was mapped, not what the header says now. */
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
	NUMBER("serial", serial, "A number no other Memory of this process ever has: a key for caches."),
	NUMBER("size", k.size, "In bytes."),
	NUMBER("nr_cpus", k.nr_cpus, "How many CPUs it has."),
	NUMBER("nr_tasks", k.nr_tasks, "How many task slots it has."),
	NUMBER("symbols", k.symbols, "Where the symbols begin, in bytes."),
	PLACE("cpus", k.cpus, "Where the CPUs begin, in bytes."),
	PLACE("tasks", k.tasks, "Where the task slots begin, in bytes."),
	{ 0 },
};

static PyMethodDef memory_methods[] = {
	{ "create", (PyCFunction)(void (*)(void))Memory_create, METH_FASTCALL | METH_CLASS,
	  "create($type, nr_cpus, nr_tasks, heap, arena, /)\n--\n\nA new memory; sizes in bytes." },
	NOARGS("fileno", Memory_fileno, "The memfd."),
	NOARGS("task_alloc", Memory_task_alloc, "A free task slot, its generation counted up."),
	ONE("task_free", Memory_task_free, "slot", "Give it back; its state becomes POISON."),
	ONE("symbol", Memory_symbol, "name", "The offset of the word of that name."),
	ONE("symbol_name", Memory_symbol_name, "offset", "The name of the word at that offset."),
	ONE("publish", Memory_publish, "data", "Bytes into the arena; returns their offset."),
	ONE("published", Memory_published, "offset", "The bytes published there."),
	ONE("heap_alloc", Memory_heap_alloc, "size", "A zeroed block of the heap."),
	ONE("heap_free", Memory_heap_free, "offset", "Free a block; a second time is an error."),
	FAST("read", Memory_read, "offset, length", "Bytes as they are now."),
	FAST("write", Memory_write, "offset, data", "Bytes into a block of the heap, or the report."),
	FAST("list_add", Memory_list_add, "head, node", "Caller holds the list's lock."),
	FAST("list_add_tail", Memory_list_add_tail, "head, node", "Caller holds the list's lock."),
	ONE("list_del", Memory_list_del, "node", "list_del_init().  Caller holds the list's lock."),
	ONE("list_next", Memory_list_next, "node", "The node after it; the head itself if none."),
	ONE("kick", Memory_kick, "cpu", "After a store to need_resched or ipi.  Full barrier."),
	ONE("send_reschedule", Memory_send_reschedule, "cpu",
	    "kick(), put off until the caller holds no spinlock."),
	ONE("notify_monitor", Memory_notify_monitor, "cpu", "Wake the CPU process's main thread."),
	FAST("wait_monitor", Memory_wait_monitor, "cpu, timeout_ns", "Sleep until rung."),
	ONE("notify_task", Memory_notify_task, "slot", "Wake the task's thread, to look at its turn."),
	NOARGS("notify_all", Memory_notify_all, "Ring every bell, after a panic."),
	NOARGS("all_blocked", Memory_all_blocked, "Whether no CPU has anything to do."),
	ONE("end_hold_of", Memory_end_hold_of, "slot", "Let the task go if a script holds it."),
	FAST("events", Memory_events, "cpu, since", "(head, events) of that CPU's ring."),
	{ 0 },
};

PyTypeObject Memory_Type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "kemu.native.Memory",
	.tp_doc = PyDoc_STR("Memory(fd)\n--\n\nA machine's shared memory."),
	.tp_basicsize = sizeof(Memory),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_new = Memory_new,
	.tp_dealloc = (destructor)Memory_dealloc,
	.tp_methods = memory_methods,
	.tp_getset = memory_getset,
};
