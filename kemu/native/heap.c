/*
 * heap.c - blocks of shared memory: completions, per-CPU variables, arguments.
 *
 * Powers of two from 64 bytes on, a free list each, one lock (header.heap_lock)
 * for all.  Each block is preceded by a word that names its class and whether
 * it is in use, so that a wrong or second free is found and refused.
 *
 * | may run beside -> | alloc | free | use of a block |
 * | alloc             | lock  | lock | -              |
 * | free              | lock  | lock | X (the owner's matter) |
 */
#include <string.h>

#include "native.h"

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

/* A block of at least size zero bytes; 8-aligned. */
int kemu_heap_alloc(struct kemu *k, u64 size, u64 *off)
{
	struct kemu_header *h = k->hdr;
	int class = size > k->size ? KEMU_HEAP_CLASSES : class_of(size);
	u64 bytes = (u64)SMALLEST << class, *head = NULL;

	if (class >= KEMU_HEAP_CLASSES)
		return KEMU_FULL;
	kemu_raw_lock(k, &h->heap_lock);
	if (h->heap_free[class]) {
		head = (u64 *)(k->base + h->heap_free[class]);
		h->heap_free[class] = head[1];
	} else if (h->heap_end - h->heap_brk >= bytes) {
		head = (u64 *)(k->base + h->heap_brk);
		h->heap_brk += bytes;
	}
	kemu_raw_unlock(&h->heap_lock);
	if (!head)
		return KEMU_FULL;
	memset(head, 0, bytes);
	store(head, IN_USE | (u64)class);
	*off = (char *)(head + 1) - k->base;
	return KEMU_OK;
}

static u64 *in_use(struct kemu *k, u64 off)
{
	u64 *head = (u64 *)(k->base + off) - 1;

	if (off < k->hdr->heap + sizeof(u64) || off >= k->hdr->heap_brk || off % sizeof(u64))
		return NULL;
	return (load(head) & ~0xffULL) == IN_USE ? head : NULL;
}

int kemu_heap_free(struct kemu *k, u64 off)
{
	struct kemu_header *h = k->hdr;
	u64 *head, class;

	kemu_raw_lock(k, &h->heap_lock);
	head = in_use(k, off);
	class = head ? *head & 0xff : 0;
	if (!head || class >= KEMU_HEAP_CLASSES) {
		kemu_raw_unlock(&h->heap_lock);
		return KEMU_RANGE;
	}
	store(head, IS_FREE | class);
	head[1] = h->heap_free[class];
	h->heap_free[class] = (char *)head - k->base;
	kemu_raw_unlock(&h->heap_lock);
	return KEMU_OK;
}

/* How many bytes the block at off has room for; zero if there is no such block. */
u64 kemu_heap_usable(struct kemu *k, u64 off)
{
	u64 *head = in_use(k, off);

	return head ? ((u64)SMALLEST << (*head & 0xff)) - sizeof(u64) : 0;
}
