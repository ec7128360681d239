/*
 * list.c - Linux's circular doubly linked lists, with offsets for pointers.
 *
 * A node is two words, next and prev.  A node that is on no list, and the head of an empty
 * list, points at itself or is zero.  Each step checks the bounds, and checks a link from both
 * sides before it changes it.  So a broken list is an error and never a crash.
 *
 * Locks: none of its own; the caller holds the lock of the list.
 */
#include "hardware.h"

void kemu_list_init(struct kemu *k, u64 head)
{
	u64 *node = (u64 *)(k->base + head);

	store(&node[0], head);
	store(&node[1], head);
}

static u64 *node_at(struct kemu *k, u64 off)
{
	if (!kemu_word(k, off) || !kemu_word(k, off + sizeof(u64)))
		return NULL;
	return (u64 *)(k->base + off);
}

static bool linked(u64 *node, u64 off)
{
	return load(&node[0]) && load(&node[0]) != off;
}

int kemu_list_add(struct kemu *k, u64 head, u64 node, bool tail)
{
	u64 *h = node_at(k, head), *n = node_at(k, node), *prev, *next;
	u64 before, after;

	if (!h || !n || head == node)
		return KEMU_RANGE;
	if (linked(n, node))
		return KEMU_BUSY;
	if (!load(&h[0]))
		kemu_list_init(k, head);
	before = tail ? load(&h[1]) : head;
	after = tail ? head : load(&h[0]);
	prev = node_at(k, before);
	next = node_at(k, after);
	if (!prev || !next || load(&prev[0]) != after || load(&next[1]) != before)
		return KEMU_CORRUPT;
	store(&n[0], after);
	store(&n[1], before);
	store(&prev[0], node);
	store(&next[1], node);
	return KEMU_OK;
}

/* Linux: list_del_init().  Leaves a node that is on no list as it is. */
int kemu_list_del(struct kemu *k, u64 node)
{
	u64 *n = node_at(k, node), *prev, *next;

	if (!n)
		return KEMU_RANGE;
	if (!linked(n, node))
		return KEMU_OK;
	next = node_at(k, load(&n[0]));
	prev = node_at(k, load(&n[1]));
	if (!prev || !next || load(&prev[0]) != node || load(&next[1]) != node)
		return KEMU_CORRUPT;
	store(&prev[0], load(&n[0]));
	store(&next[1], load(&n[1]));
	kemu_list_init(k, node);
	return KEMU_OK;
}

int kemu_list_next(struct kemu *k, u64 node, u64 *next)
{
	u64 *n = node_at(k, node);

	if (!n)
		return KEMU_RANGE;
	*next = load(&n[0]) ? load(&n[0]) : node;
	return node_at(k, *next) ? KEMU_OK : KEMU_CORRUPT;
}
