/*
 * memory.c - the shape of the shared memory, and the slots in it.
 *
 * | may run beside ->	| task_alloc | symbol | publish | readers |
 * | task_alloc/free	| task_lock  | -      | -       | -       |
 * | symbol		| -          | symbol_lock for a new name; look-up is free |
 * | publish		| -          | -      | arena_lock | -    |
 *
 * A CPU completes a symbol before nr_symbols counts it (release), and no symbol is ever
 * removed.  So a look-up reads nr_symbols (acquire) and takes no lock.
 *
 * Locks: task_lock, symbol_lock, arena_lock, raw (spinlock.c).  Callers: python/memory.c.
 */
#include <string.h>

#include "hardware.h"

__thread struct kemu_self kemu_self;

static void *no_release(void)		{ return NULL; }
static void no_acquire(void *state)	{ (void)state; }

/* Without a kernel an interrupt stays pending. */
static int nothing_taken(void)
{
	return KEMU_OK;
}

static int nothing_judged(u64 class, u64 use, u64 before)
{
	(void)class, (void)use, (void)before;
	return KEMU_OK;
}

struct kemu_host kemu_host = { no_release, no_acquire, nothing_taken, nothing_judged };

static u64 round_up(u64 n, u64 to)
{
	return (n + to - 1) / to * to;
}

static u64 place(u64 *brk, u64 bytes)
{
	u64 at = *brk;

	*brk = round_up(at + bytes, 64);
	return at;
}

/* Lays the parts out one after another; returns the size of the whole. */
static u64 lay_out(struct kemu_header *h, u64 nr_cpus, u64 nr_tasks, u64 heap, u64 arena)
{
	u64 brk = 0;

	place(&brk, sizeof(struct kemu_header));
	h->nr_cpus = nr_cpus;
	h->nr_tasks = nr_tasks;
	h->cpus = place(&brk, nr_cpus * sizeof(struct kemu_cpu));
	h->tasks = place(&brk, nr_tasks * sizeof(struct kemu_task));
	h->symbols = place(&brk, KEMU_NR_SYMBOLS * sizeof(struct kemu_symbol));
	h->rings = place(&brk, nr_cpus * KEMU_NR_EVENTS * sizeof(struct kemu_event));
	h->heap = place(&brk, heap);
	h->heap_end = brk;
	h->arena = place(&brk, arena);
	h->arena_end = brk;
	h->size = round_up(brk, 4096);
	return h->size;
}

u64 kemu_size(u64 nr_cpus, u64 nr_tasks, u64 heap, u64 arena)
{
	struct kemu_header scratch;	/* on the stack: two threads may ask at once */

	return lay_out(&scratch, nr_cpus, nr_tasks, heap, arena);
}

static int look(struct kemu *k, void *base, u64 size, const struct kemu_header *shape)
{
	char *at = base;

	*k = (struct kemu) {
		.base = base, .size = size, .hdr = base,
		.cpus = (struct kemu_cpu *)(at + shape->cpus),
		.tasks = (struct kemu_task *)(at + shape->tasks),
		.nr_cpus = shape->nr_cpus, .nr_tasks = shape->nr_tasks,
		.symbols = shape->symbols, .rings = shape->rings,
		.heap = shape->heap, .heap_end = shape->heap_end,
		.arena = shape->arena, .arena_end = shape->arena_end,
	};
	return KEMU_OK;
}

static void format_cpu(struct kemu *k, struct kemu_cpu *cpu, u64 id)
{
	cpu->id = id;
	cpu->next_event = KEMU_NEVER;
	kemu_list_init(k, kemu_offset(k, &cpu->fair_next));
	kemu_list_init(k, kemu_offset(k, &cpu->timer_next));
	kemu_list_init(k, kemu_offset(k, &cpu->call_next));
	for (int prio = 0; prio < KEMU_MAX_RT_PRIO; prio++)
		kemu_list_init(k, kemu_offset(k, cpu->rt_queue[prio]));
}

/* Formats a memory that is zero and that no other thread has. */
int kemu_format(struct kemu *k, u64 nr_cpus, u64 nr_tasks, u64 heap, u64 arena)
{
	struct kemu_header *h = (struct kemu_header *)k->base;

	if (lay_out(h, nr_cpus, nr_tasks, heap, arena) > k->size)
		return KEMU_RANGE;
	look(k, k->base, k->size, h);
	h->heap_brk = h->heap;
	h->arena_brk = h->arena;
	h->next_pid = 1;
	for (u64 id = 0; id < nr_cpus; id++)
		format_cpu(k, &k->cpus[id], id);
	for (u64 slot = 0; slot < nr_tasks; slot++)
		k->tasks[slot].state = KEMU_POISON;
	store_release(&h->magic, KEMU_MAGIC);
	return KEMU_OK;
}

int kemu_attach(struct kemu *k, void *base, u64 size)
{
	struct kemu_header *h = base, want;
	u64 nr_cpus, nr_tasks, heap, arena;

	if (size < sizeof(*h) || load_acquire(&h->magic) != KEMU_MAGIC)
		return KEMU_RANGE;
	nr_cpus = load(&h->nr_cpus);
	nr_tasks = load(&h->nr_tasks);
	heap = load(&h->heap_end) - load(&h->heap);
	arena = load(&h->arena_end) - load(&h->arena);
	if (nr_cpus < 1 || nr_cpus > KEMU_MAX_CPUS || nr_tasks < nr_cpus ||
	    nr_tasks > KEMU_MAX_TASKS || heap > KEMU_MAX_BYTES || arena > KEMU_MAX_BYTES)
		return KEMU_RANGE;
	if (lay_out(&want, nr_cpus, nr_tasks, heap, arena) > size ||
	    want.arena_end != load(&h->arena_end))
		return KEMU_RANGE;
	return look(k, base, size, &want);
}

/* The word at an offset, or NULL if there is none. */
u64 *kemu_word(struct kemu *k, u64 off)
{
	if (off % sizeof(u64) || off > k->size - sizeof(u64))
		return NULL;
	return (u64 *)(k->base + off);
}

/* Allocates a slot.  Its words are zero, except the generation, which counts the slot's lives. */
int kemu_task_alloc(struct kemu *k, u64 *slot)
{
	struct kemu_header *h = k->hdr;
	int status = kemu_raw_lock(k, &h->task_lock);

	if (status < 0)
		return status;
	status = KEMU_FULL;
	for (u64 i = 0; i < k->nr_tasks; i++) {
		/* Around in a circle, so that a freed slot stays unused as long as possible. */
		u64 at = (h->task_hint + i) % k->nr_tasks;
		struct kemu_task *t = &k->tasks[at];
		u64 generation = load(&t->generation) + 1;

		if (load(&t->used))
			continue;
		/* Word by word: a stray waker may still look at the old task, or notify it. */
		for (u64 *word = &t->generation; word < (u64 *)(t + 1); word++)
			store(word, 0);
		store(&t->generation, generation);
		store(&t->usage, 1);
		store_release(&t->used, 1);
		h->task_hint = at + 1;
		*slot = at;
		status = KEMU_OK;
		break;
	}
	kemu_raw_unlock(&h->task_lock);
	return status;
}

int kemu_task_free(struct kemu *k, u64 slot)
{
	struct kemu_task *t = kemu_task_at(k, slot);
	bool used;
	int status;

	if (slot >= k->nr_tasks)
		return KEMU_RANGE;
	status = kemu_raw_lock(k, &k->hdr->task_lock);
	if (status < 0)
		return status;
	used = load(&t->used);
	if (used) {
		store(&t->state, KEMU_POISON);
		store_release(&t->used, 0);
	}
	kemu_raw_unlock(&k->hdr->task_lock);
	return used ? KEMU_OK : KEMU_RANGE;
}

static bool find_symbol(struct kemu *k, const char *name, u64 len, u64 from, u64 to, u64 *index)
{
	struct kemu_symbol *table = (struct kemu_symbol *)(k->base + k->symbols);

	for (u64 i = from; i < to; i++)
		if (!strncmp(table[i].name, name, len) && !table[i].name[len]) {
			*index = i;
			return true;
		}
	return false;
}

/* Whether the symbol of that number has the name.  Takes no lock. */
bool kemu_is_symbol(struct kemu *k, const char *name, u64 index)
{
	u64 nr = load_acquire(&k->hdr->nr_symbols);

	return index < nr && nr <= KEMU_NR_SYMBOLS && find_symbol(k, name, strlen(name), index,
								    index + 1, &index);
}

/* The number of a name, the same in every process.  A new name gets the next number. */
int kemu_symbol(struct kemu *k, const char *name, u64 len, u64 *index)
{
	struct kemu_symbol *table = (struct kemu_symbol *)(k->base + k->symbols);
	u64 seen = load_acquire(&k->hdr->nr_symbols), nr;
	int status;

	if (seen > KEMU_NR_SYMBOLS)
		return KEMU_CORRUPT;
	if (len >= KEMU_SYMBOL_NAME || !len || memchr(name, 0, len))
		return KEMU_RANGE;
	if (find_symbol(k, name, len, 0, seen, index))
		return KEMU_OK;
	status = kemu_raw_lock(k, &k->hdr->symbol_lock);
	if (status < 0)
		return status;
	nr = load(&k->hdr->nr_symbols);
	if (nr > KEMU_NR_SYMBOLS) {
		status = KEMU_CORRUPT;
	} else if (!find_symbol(k, name, len, seen, nr, index)) {
		if (nr == KEMU_NR_SYMBOLS) {
			status = KEMU_FULL;
		} else {
			memcpy(table[nr].name, name, len);
			*index = nr;
			store_release(&k->hdr->nr_symbols, nr + 1);
		}
	}
	kemu_raw_unlock(&k->hdr->symbol_lock);
	return status;
}

/* Appends a length and bytes to the arena.  They are never moved or removed. */
int kemu_publish(struct kemu *k, const char *data, u64 len, u64 *off)
{
	struct kemu_header *h = k->hdr;
	int status = kemu_raw_lock(k, &h->arena_lock);
	u64 brk;

	if (status < 0)
		return status;
	status = KEMU_FULL;
	brk = load(&h->arena_brk);
	if (brk < k->arena || brk > k->arena_end || brk % 64) {
		status = KEMU_CORRUPT;
	} else if (len < k->arena_end - brk && k->arena_end - brk - len > 64) {
		*off = brk;
		memcpy(k->base + brk + sizeof(u64), data, len);
		store_release((u64 *)(k->base + brk), len);
		store(&h->arena_brk, round_up(brk + sizeof(u64) + len, 64));
		store(&h->nr_published, load(&h->nr_published) + 1);
		status = KEMU_OK;
	}
	kemu_raw_unlock(&h->arena_lock);
	return status;
}
