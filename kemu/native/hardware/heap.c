/*
 * heap.c - blocks of shared memory: completions, per-CPU variables, arguments.
 *
 * Block sizes are powers of two from 64 bytes on; each size has a free list.  A word before
 * each block says its size and whether it is in use, so a wrong or a second free is refused.
 *
 *	header.heap_blocks <- how many blocks are in use: under heap_lock; a search for leaks
 *			      reads it at rest
 *
 * | may run beside -> | alloc | free | use of a block |
 * | alloc             | lock  | lock | yes            |
 * | free              | lock  | lock | no: the owner uses the block, then frees it |
 *
 * Locks: header.heap_lock, raw (spinlock.c).  Callers: Memory.heap_alloc(), heap_free().
 */
#include <string.h>

#include "hardware.h"

#define SMALLEST	64
#define IN_USE		0x6b656d7500000100ULL
#define IS_FREE		0x6b656d7500000200ULL

static int class_of(u64 size)
{
	int class = 0;

	while (class < KEMU_HEAP_CLASSES && ((u64)SMALLEST << class) < size + sizeof(u64))
		class++;
	return class;
}

/* The word before a block, or NULL.  Blocks begin at multiples of SMALLEST. */
static u64 *block_at(struct kemu *k, u64 at)
{
	if (at < k->heap || at >= k->heap_end || at % SMALLEST)
		return NULL;
	return (u64 *)(k->base + at);
}

static bool fits(struct kemu *k, u64 *head, u64 class)
{
	return class < KEMU_HEAP_CLASSES &&
	       (u64)SMALLEST << class <= k->heap_end - kemu_offset(k, head);
}

/* Caller holds heap_lock.  KEMU_CORRUPT: somebody wrote to a block after its free. */
static int take_free(struct kemu *k, int class, u64 **head)
{
	u64 *found = block_at(k, load(&k->hdr->heap_free[class]));

	if (!found || load(found) != (IS_FREE | (u64)class) || !fits(k, found, (u64)class))
		return KEMU_CORRUPT;
	store(&k->hdr->heap_free[class], load(&found[1]));
	*head = found;
	return KEMU_OK;
}

/* Caller holds heap_lock. */
static int take_new(struct kemu *k, int class, u64 **head)
{
	u64 brk = load(&k->hdr->heap_brk), *found = block_at(k, brk);

	if (!found)
		return brk == k->heap_end ? KEMU_FULL : KEMU_CORRUPT;
	if (!fits(k, found, (u64)class))
		return KEMU_FULL;
	store(&k->hdr->heap_brk, brk + ((u64)SMALLEST << class));
	*head = found;
	return KEMU_OK;
}

/* A block of at least size zero bytes; 8-aligned. */
int kemu_heap_alloc(struct kemu *k, u64 size, u64 *off)
{
	struct kemu_header *h = k->hdr;
	int class = size > k->size ? KEMU_HEAP_CLASSES : class_of(size), status;
	u64 *head = NULL;

	if (class >= KEMU_HEAP_CLASSES)
		return KEMU_FULL;
	status = kemu_raw_lock(k, &h->heap_lock);
	if (status < 0)
		return status;
	status = load(&h->heap_free[class]) ? take_free(k, class, &head) : take_new(k, class, &head);
	if (status == KEMU_OK) {	/* under the lock: this finds a free list that runs in a circle */
		store(head, IN_USE | (u64)class);
		store(&h->heap_blocks, load(&h->heap_blocks) + 1);
	}
	kemu_raw_unlock(&h->heap_lock);
	if (status < 0)
		return status;
	memset(head + 1, 0, ((u64)SMALLEST << class) - sizeof(u64));
	*off = kemu_offset(k, head + 1);
	return KEMU_OK;
}

static u64 *in_use(struct kemu *k, u64 off)
{
	u64 *head = block_at(k, off - sizeof(u64)), seen = head ? load(head) : 0;

	return (seen & ~0xffULL) == IN_USE && fits(k, head, seen & 0xff) ? head : NULL;
}

int kemu_heap_free(struct kemu *k, u64 off)
{
	struct kemu_header *h = k->hdr;
	int status = kemu_raw_lock(k, &h->heap_lock);
	u64 *head, class;

	if (status < 0)
		return status;
	head = in_use(k, off);
	if (head) {
		class = load(head) & 0xff;
		store(head, IS_FREE | class);
		store(&head[1], load(&h->heap_free[class]));
		store(&h->heap_free[class], kemu_offset(k, head));
		store(&h->heap_blocks, load(&h->heap_blocks) - 1);
	}
	kemu_raw_unlock(&h->heap_lock);
	return head ? KEMU_OK : KEMU_RANGE;
}

/* How many bytes the block at off has room for; zero if there is no such block. */
u64 kemu_heap_usable(struct kemu *k, u64 off)
{
	u64 *head = in_use(k, off);

	return head ? ((u64)SMALLEST << (load(head) & 0xff)) - sizeof(u64) : 0;
}
