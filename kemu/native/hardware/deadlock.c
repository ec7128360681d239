/*
 * deadlock.c - stop a machine under control in which no CPU can go on, or whose trial does not end.
 *
 * The CPU that finds the deadlock stops the machine as a panic does (kernel/panic.py), with a
 * report of the same form.  C code writes the report, because every task waits.
 *
 *	header.panic	<- KIND_HANG: by the CPU that finds the deadlock, if no CPU has panicked
 *	header.report	<- by that CPU; then report_len (release), then GATE_PANIC
 */
#include <stdio.h>
#include <string.h>

#include "chooser.h"

#define KIND_HANG	4	/* kernel/panic.py */
#define TEXT_SIZE	4096

/* A task's name, with ? for each character that would need quoting in JSON. */
static void name_of(struct kemu_task *t, char *name)
{
	u64 words[2] = { load(&t->comm0), load(&t->comm1) };

	memcpy(name, words, sizeof(words));
	name[KEMU_COMM_LEN - 1] = 0;
	for (char *c = name; *c; c++)
		if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
			*c = '?';
}

static size_t tell(struct kemu *k, struct kemu_cpu *cpu, char *text, size_t room)
{
	char name[KEMU_COMM_LEN], owner[KEMU_COMM_LEN];
	u64 *word = kemu_word(k, load(&cpu->want_word)), op = load(&cpu->want), seen;
	int len = 0;

	name_of(kemu_task_at(k, load(&cpu->want_task)), name);
	seen = word ? load(word) : 0;
	if (op == OP_LOCK && seen && seen <= k->nr_tasks) {
		name_of(&k->tasks[seen - 1], owner);
		len = snprintf(text, room, "\\ncpu%d: %s waits for the spinlock at %#llx, which %s holds",
			       (int)(cpu - k->cpus), name, (unsigned long long)load(&cpu->want_word), owner);
	} else if (op) {
		len = snprintf(text, room, "\\ncpu%d: %s waits for the word at %#llx, which is %lld",
			       (int)(cpu - k->cpus), name, (unsigned long long)load(&cpu->want_word),
			       (long long)seen);
	}
	return len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1;
}

/* Returns KEMU_STOPPED. */
int kemu_stop_hung(struct kemu_self *s, const char *what)
{
	struct kemu_header *h = s->k->hdr;
	char text[TEXT_SIZE], name[KEMU_COMM_LEN];
	size_t used = (size_t)snprintf(text, sizeof(text), "%s", what);
	int len;

	if (cmpxchg(&h->panic, 0, KIND_HANG))
		return KEMU_STOPPED;
	for (u64 i = 0; i < s->k->nr_cpus && used < sizeof(text) - 1; i++)
		used += tell(s->k, &s->k->cpus[i], text + used, sizeof(text) - used);
	name_of(s->task, name);
	len = snprintf(h->report, sizeof(h->report),
		       "{\"kind\": %d, \"text\": \"%s\", \"cpu\": %d, \"task\": \"%s\", \"pid\": %lld, "
		       "\"slot\": %llu, \"preempt_count\": 0, \"held\": \"\", \"traceback\": \"\"}",
		       KIND_HANG, text, (int)(kemu_this_cpu(s) - s->k->cpus), name,
		       (long long)load(&s->task->pid), (unsigned long long)kemu_slot(s->k, s->task));
	store_release(&h->report_len, (u64)len);
	fetch_or(&h->gate, GATE_PANIC);
	kemu_notify_all(s->k);
	return KEMU_STOPPED;
}
