/*
 * stress_alloc.c - what many threads allocate at once belongs to one thread each.
 */
#include <stdio.h>
#include <string.h>

#include "stress.h"

#define THREADS	4
#define HELD	8
#define ROUNDS	10000
#define NAMES	300

/* Every block is zero when it comes, and keeps what its owner wrote: plain writes. */
static void heap_user(u64 number, void *arg)
{
	struct kemu *k = arg;
	u64 held[HELD] = { 0 }, seed = number + 1;

	for (int i = 0; i < ROUNDS; i++) {
		u64 *off = &held[dice(&seed) % HELD], *block;

		if (*off) {
			CHECK(*kemu_word(k, *off) == number + 1);
			CHECK(kemu_heap_free(k, *off) == KEMU_OK);
			*off = 0;
			continue;
		}
		CHECK(kemu_heap_alloc(k, dice(&seed) % 500, off) == KEMU_OK);
		CHECK(kemu_heap_usable(k, *off) >= sizeof(u64));
		block = kemu_word(k, *off);
		for (u64 word = 0; word < kemu_heap_usable(k, *off) / sizeof(u64); word++) {
			CHECK(!block[word]);
			block[word] = number + 1;
		}
	}
}

void stress_heap(void)
{
	struct kemu *k = build(1, 1, 1 << 17, 0);
	u64 off, again;

	crowd(THREADS, heap_user, k);
	CHECK(kemu_heap_alloc(k, 1 << 20, &off) == KEMU_FULL);
	CHECK(kemu_heap_alloc(k, 40, &off) == KEMU_OK);
	CHECK(kemu_heap_free(k, off + 8) == KEMU_RANGE);
	CHECK(kemu_heap_free(k, off) == KEMU_OK);
	CHECK(kemu_heap_free(k, off) == KEMU_RANGE);
	/* Written after it was freed: the free list leads nowhere, and nobody follows. */
	store(kemu_word(k, off), ~0ULL);
	CHECK(kemu_heap_alloc(k, 40, &again) == KEMU_OK && again == off);
	CHECK(kemu_heap_alloc(k, 40, &again) == KEMU_CORRUPT);
	scrap(k);
}

/* A slot has one owner, and a life of its own; a stray waker may look at any. */
static void slot_user(u64 number, void *arg)
{
	struct kemu *k = arg;
	u64 slot, seed = number + 1;

	for (int i = 0; i < ROUNDS; i++) {
		struct kemu_task *t;

		if (kemu_task_alloc(k, &slot)) {
			kemu_notify_all(k);
			continue;
		}
		t = &k->tasks[slot];
		CHECK(!load(&t->pid));
		store(&t->pid, number + 1);
		kemu_notify(&k->tasks[dice(&seed) % k->nr_tasks].bell);
		CHECK(load(&t->pid) == number + 1);
		CHECK(kemu_task_free(k, slot) == KEMU_OK);
	}
}

void stress_slots(void)
{
	struct kemu *k = build(1, THREADS - 1, 0, 0);	/* fewer than want one */
	u64 lives = 0, slot;

	crowd(THREADS, slot_user, k);
	for (u64 i = 0; i < k->nr_tasks; i++) {
		CHECK(!k->tasks[i].used && k->tasks[i].state == KEMU_POISON);
		lives += k->tasks[i].generation;
	}
	CHECK(lives && lives <= THREADS * ROUNDS);
	for (u64 i = 0; i < k->nr_tasks; i++)
		CHECK(kemu_task_alloc(k, &slot) == KEMU_OK);
	CHECK(kemu_task_alloc(k, &slot) == KEMU_FULL);
	CHECK(kemu_task_free(k, k->nr_tasks) == KEMU_RANGE);
	CHECK(kemu_task_free(k, ~0ULL) == KEMU_RANGE);
	scrap(k);
}

struct census {
	struct kemu *k;
	u64 index[THREADS][NAMES];
};

/* All threads ask for the same names at once, each in an order of its own, and publish. */
static void namer(u64 number, void *arg)
{
	struct census *c = arg;
	u64 off, len;

	for (u64 step = 0; step < NAMES; step++) {
		u64 i = (step + number * (NAMES / THREADS)) % NAMES;
		char name[32];

		snprintf(name, sizeof(name), "name-%d", (int)i);
		CHECK(kemu_symbol(c->k, name, strlen(name), &c->index[number][i]) == KEMU_OK);
		len = strlen(name);
		CHECK(kemu_publish(c->k, name, len, &off) == KEMU_OK);
		CHECK(load_acquire(kemu_word(c->k, off)) == len);
		CHECK(!memcmp(c->k->base + off + 8, name, len));
	}
}

void stress_symbols(void)
{
	struct census c = { .k = build(1, 1, 0, THREADS * NAMES * 64 + 64) };
	u64 index;

	crowd(THREADS, namer, &c);
	for (int thread = 1; thread < THREADS; thread++)
		CHECK(!memcmp(c.index[0], c.index[thread], sizeof(c.index[0])));
	CHECK(c.k->hdr->nr_symbols == NAMES && c.k->hdr->nr_published == THREADS * NAMES);
	CHECK(kemu_symbol(c.k, "", 0, &index) == KEMU_RANGE);
	CHECK(kemu_symbol(c.k, "a\0b", 3, &index) == KEMU_RANGE);
	CHECK(kemu_publish(c.k, "", ~0ULL, &index) == KEMU_FULL);
	scrap(c.k);
}
