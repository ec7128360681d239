/*
 * cpu.c - what an emulated CPU does in hardware: run one task, sleep while idle, notice
 * that an interrupt is pending.
 *
 *	task.turn	<- 1 + the slot of the task that ran before: by the task that switches
 *			   away (release); cleared by the thread whose turn it is (acquire)
 *	cpu.idler	<- 1 + the slot of the task whose thread idles there: by that thread
 *	cpu.need_resched, cpu.ipi <- by any CPU, before it kicks this one
 *	cpu.rq_lock	passes to the next task with the turn: its owner is the running task
 *
 * A kick and a CPU that goes idle exclude a lost wake-up, as in Dekker's algorithm:
 *
 *	kemu_kick()			kemu_idle()
 *	  need_resched = 1 (by caller)	  idler = this thread
 *	  smp_mb			  smp_mb
 *	  read idler, notify it		  read need_resched
 *
 * The kick of a reschedule waits until its sender holds no spinlock: kemu_send_reschedule().
 *
 * A task that blocks while nothing else can run idles in place, as swapper's stand-in
 * (kemu_stand_in()).  Waking it again then costs no switch of threads.  If its turn comes on
 * another CPU, it first hands the idle duty to swapper's own thread (kemu_resign()).
 *
 * Before it resigns, it may be in an interrupt of the CPU where it stands in, and wait for a
 * rq_lock there.  So a CPU that gives such a thread its turn must not keep its own rq_lock until
 * the turn is taken: the task that goes finishes the switch (kemu_switch_to_stand_in()).
 *
 *	task.stands_in	<- 1 before the task's on_cpu is 0, and so before it can be woken; 0 when
 *			   it has its turn.  An old 1 does no harm: every turn may be given so
 *
 * Locks: rq_lock in the switches.  Callers: kernel/sched/schedule.c; the waits.
 */
#include "hardware.h"

#define POLL_START_NS	10000

struct kemu_cpu *kemu_this_cpu(struct kemu_self *s)
{
	return kemu_cpu_at(s->k, load(&s->task->cpu));
}

bool kemu_irq_pending(struct kemu_cpu *cpu)
{
	u64 event = cpu->next_event;

	if (load(&cpu->irqs_off))
		return false;
	return load(&cpu->ipi) || (event < KEMU_NEVER && kemu_clock(kemu_self.k) >= event);
}

bool kemu_resched_due(struct kemu_self *s, struct kemu_cpu *cpu)
{
	return !load(&s->task->preempt_count) && load(&cpu->need_resched) &&
	       !load(&cpu->irqs_off);
}

u64 kemu_irq_save(struct kemu_self *s)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	u64 was = load(&cpu->irqs_off);

	store(&cpu->irqs_off, 1);
	return was;
}

void kemu_irq_put(struct kemu_self *s, u64 flags)
{
	store(&kemu_this_cpu(s)->irqs_off, !!flags);
}

/* Interrupts or preemption are on again: the CPU takes what is due, and may switch tasks. */
int kemu_take_due(struct kemu_self *s)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);

	if (!unlikely(kemu_irq_pending(cpu) || kemu_resched_due(s, cpu)))
		return KEMU_OK;
	return kemu_host.take_pending();
}

static bool my_turn(void *me)
{
	return load_acquire(&((struct kemu_task *)me)->turn) != 0;
}

static int take_turn(struct kemu_self *s, u64 *last)
{
	*last = load_acquire(&s->thread->turn) - 1;
	store(&s->thread->turn, 0);
	store(&s->thread->stands_in, 0);
	s->task = s->thread;
	return kemu_controlled(s->k) ? kemu_take_turn_by_choice(s, *last) : KEMU_OK;
}

/* Waits until a CPU switches to this thread's task.  last: the slot of the task that ran there. */
int kemu_wait_turn(struct kemu_self *s, u64 *last)
{
	void *host = kemu_begin_wait();
	int status = kemu_sleep_until(s->k, &s->thread->bell, 0, KEMU_NEVER, my_turn, s->thread);

	kemu_host.acquire(host);
	return status == KEMU_OK ? take_turn(s, last) : status;
}

/*
 * Gives next its turn.  Its thread may be in another process, and may start only now.
 * This CPU stores host_core, then reads tid; a new thread stores tid, then reads host_core
 * (enter() in python/task.c).  So at least one of the two pins the thread.
 */
static void give_turn(struct kemu_cpu *cpu, struct kemu_task *next, u64 turn)
{
	u64 core = cpu->host_core + 1, tid;

	if (load(&next->host_core) != core) {
		store(&next->host_core, core);
		smp_mb();
		tid = load(&next->tid);
		if (tid)
			kemu_pin(tid, core - 1);
	}
	store_release(&next->turn, turn);
}

static void hand_lock(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next)
{
	store(&cpu->rq_lock, kemu_slot(s->k, next) + 1);
	s->task->locks--;
	next->locks++;
}

/*
 * Gives next the turn, and sleeps until it is this thread's turn again.  gone: the task that went, if
 * it has finished the switch; from here on another CPU may run it, and then its turn is there already.
 */
static int pass_turn(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next, u64 turn,
		     struct kemu_task *gone, u64 *last)
{
	bool busy = kemu_controlled(s->k) && kemu_is_busy_elsewhere(s, cpu, next);
	void *host;
	int status;

	give_turn(cpu, next, turn);
	if (gone) {
		store_release(&gone->on_cpu, 0);
		if (unlikely(load(&s->k->hdr->watchers)))
			kemu_changed(s->k, &gone->on_cpu);
	}
	host = kemu_begin_wait();
	kemu_notify(&next->bell);
	if (busy)
		kemu_let_others_go_on(s, cpu);
	status = kemu_sleep_until(s->k, &s->thread->bell, 0, KEMU_NEVER, my_turn, s->thread);
	kemu_host.acquire(host);
	return status == KEMU_OK ? take_turn(s, last) : status;
}

/* Runs next here; returns when it is this thread's turn again.  Caller holds rq_lock. */
int kemu_switch_to(struct kemu_self *s, struct kemu_task *next, u64 *last)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	u64 from = kemu_slot(s->k, s->task);

	hand_lock(s, cpu, next);
	if (next == s->thread) {		/* the stand-in was woken */
		s->task = next;
		store(&next->stands_in, 0);
		*last = from;
		return KEMU_OK;
	}
	return pass_turn(s, cpu, next, from + 1, NULL, last);
}

/* Whether next's thread may be running as swapper.  Not on this CPU. */
bool kemu_stands_in(struct kemu_self *s, struct kemu_task *next)
{
	return next != s->thread && load(&next->stands_in) &&
	       (!kemu_controlled(s->k) || kemu_stands_in_now(s->k, next));
}

/*
 * As kemu_switch_to(), for a thread that stands in elsewhere.  The caller has unlocked rq_lock.
 * Interrupts stay off on this CPU, which no thread runs, until next has its turn.
 */
int kemu_switch_to_stand_in(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next, u64 *last)
{
	return pass_turn(s, cpu, next, KEMU_TURN_FINISHED + 1, s->task, last);
}

/* A dead task gives the last turn.  As soon as next has it, a new task may get the slot. */
static void give_last_turn(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next, u64 turn)
{
	bool busy = kemu_controlled(s->k) && kemu_is_busy_elsewhere(s, cpu, next);

	give_turn(cpu, next, turn);
	kemu_notify(&next->bell);
	if (busy)
		kemu_let_others_go_on(s, cpu);
	s->task = s->thread = NULL;
}

/* The last switch of a dead task.  Caller holds rq_lock. */
void kemu_switch_away(struct kemu_self *s, struct kemu_task *next)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	u64 from = kemu_slot(s->k, s->task);

	kemu_deliver_kicks(s);
	hand_lock(s, cpu, next);
	give_last_turn(s, cpu, next, from + 1);
}

/* As kemu_switch_away(), for a thread that stands in elsewhere.  The caller has unlocked rq_lock. */
void kemu_switch_away_to_stand_in(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next)
{
	u64 from = kemu_slot(s->k, s->task);

	store_release(&s->task->on_cpu, 0);
	give_last_turn(s, cpu, next, KEMU_TURN_FINISHED + from + 2);
}

/* From here on the thread runs as swapper.  The runqueue names swapper already. */
void kemu_stand_in(struct kemu_self *s)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	struct kemu_task *swapper = kemu_task_at(s->k, cpu->idle);

	hand_lock(s, cpu, swapper);
	store(&s->thread->stands_in, 1);
	s->task = swapper;
}

/* The stand-in's turn has come on another CPU: swapper's own thread idles here from now on. */
int kemu_resign(struct kemu_self *s, u64 *last)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	struct kemu_task *swapper = s->task;

	if (kemu_controlled(s->k))
		kemu_resign_by_choice(s, cpu);
	give_turn(cpu, swapper, KEMU_TURN_IDLE + 1);
	kemu_notify(&swapper->bell);
	return kemu_wait_turn(s, last);
}

/*
 * Whether something ends the CPU's idling.  A CPU that plays dead has interrupts off, and
 * only IPI_INIT, which powers it on, ends its idling.  The other interrupts stay pending:
 * if they ended it, the idle task would run in circles.
 */
bool kemu_idle_must_end(struct kemu_cpu *cpu)
{
	u64 ipi = load(&cpu->ipi);

	return load(&cpu->need_resched) || (load(&cpu->irqs_off) ? ipi & IPI_INIT : ipi);
}

/*
 * A CPU that goes idle, or stands still at a hold, begins with kemu_mark_idle() and ends with
 * kemu_mark_busy().  idled counts the beginnings.  Both stores are releases: a CPU that sees
 * the new count, or the new idling, also sees what this CPU did before (quiet.c).
 */
void kemu_mark_idle(struct kemu_self *s, struct kemu_cpu *cpu, enum kemu_idling how)
{
	store(&cpu->idler, kemu_slot(s->k, s->thread) + 1);
	store_release(&cpu->idled, cpu->idled + 1);
	store_release(&cpu->idling, how);
	smp_mb();		/* pairs with kemu_kick(), and with the other CPUs' in kemu_went_idle() */
}

void kemu_mark_busy(struct kemu_cpu *cpu)
{
	store(&cpu->idling, CPU_BUSY);
	store(&cpu->idler, 0);
	smp_mb();		/* busy before it takes what woke it */
}

struct idler {
	struct kemu *k;
	struct kemu_cpu *cpu;
	struct kemu_task *me;
};

static bool idle_over(void *arg)
{
	struct idler *i = arg;

	if (load_acquire(&i->me->turn))
		return true;
	return kemu_controlled(i->k) ? kemu_has_baton(i->k, i->cpu) : kemu_idle_must_end(i->cpu);
}

/* The CPU is marked idle, and its thread sleeps until something is due. */
static int sleep_idle(struct kemu_self *s, struct idler *me, u64 poll_ns)
{
	u64 gate = load(&s->k->hdr->gate), deadline = me->cpu->next_event;
	int status = KEMU_OK;

	if (gate & GATE_CONTROL)
		status = load(&me->me->turn) ? KEMU_OK : kemu_idle_by_choice(s, me->cpu);
	else if (gate & (GATE_HOLD | GATE_QUIESCE) && !idle_over(me))
		kemu_went_idle(s->k);
	if (status < 0)
		return status;
	if (gate & GATE_CONTROL || load(&me->cpu->irqs_off))
		deadline = KEMU_NEVER;
	do {	/* under control the host's time ends no sleep */
		status = kemu_sleep_until(s->k, &s->thread->bell, poll_ns, deadline, idle_over, me);
		deadline = KEMU_NEVER;
	} while (status == KEMU_PENDING && kemu_controlled(s->k));
	return status;
}

/* As haltpoll: longer after a wake-up that polling would have caught, otherwise shorter. */
static void adapt_poll(struct kemu_cpu *cpu, u64 waited, u64 max)
{
	u64 poll = cpu->poll_ns;

	if (waited > max)
		cpu->poll_ns = poll / 2 < POLL_START_NS ? 0 : poll / 2;
	else if (waited > poll)
		cpu->poll_ns = poll ? (poll * 2 < max ? poll * 2 : max) : POLL_START_NS;
}

/* Idles until something is due; why: a set of WHY_ bits. */
int kemu_idle(struct kemu_self *s, u64 *why)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	struct idler me = { s->k, cpu, s->thread };
	u64 max = cpu->sharers > 1 ? 0 : load(&s->k->hdr->poll_max_ns), began = kemu_now();
	void *host = kemu_begin_wait();
	int status;

	kemu_mark_idle(s, cpu, CPU_IDLE);
	status = sleep_idle(s, &me, max ? cpu->poll_ns : 0);
	kemu_mark_busy(cpu);
	kemu_host.acquire(host);
	if (kemu_controlled(s->k))
		kemu_record_wakeup(s, cpu);
	if (max)
		adapt_poll(cpu, kemu_now() - began, max);
	*why = (load(&cpu->need_resched) ? WHY_RESCHED : 0) |
	       (load(&s->thread->turn) ? WHY_TURN : 0) |
	       (kemu_irq_pending(cpu) ? WHY_IRQ : 0);
	return status == KEMU_PENDING ? KEMU_OK : status;
}

/* The caller has stored need_resched or ipi: the thread that idles at that CPU looks at it. */
void kemu_kick(struct kemu *k, struct kemu_cpu *cpu)
{
	u64 idler;

	if (kemu_controlled(k))		/* whether it goes on is the chooser's to say */
		return;
	smp_mb();		/* pairs with kemu_idle() */
	idler = load(&cpu->idler);
	if (idler && idler <= k->nr_tasks)
		kemu_notify(&k->tasks[idler - 1].bell);
}

/*
 * As kemu_kick(), but a task that holds a spinlock puts the kick off until it holds none: the
 * woken CPU would want that lock, and a futex call is long.  An idle CPU that polls does not
 * wait for the kick: it sees need_resched.
 *
 * A late kick does no harm.  need_resched was stored before, and a CPU that goes idle
 * meanwhile reads it.  No kick is lost: the unlock of the last spinlock sends the kicks, and
 * every wait sends them before it begins (kemu_begin_wait()), so the caller never waits for a
 * CPU that waits for the kick.
 */
void kemu_send_reschedule(struct kemu *k, struct kemu_cpu *cpu)
{
	struct kemu_self *s = &kemu_self;

	if (s->k == k && s->task && s->task->locks)
		s->reschedules |= 1ULL << (cpu - k->cpus);
	else
		kemu_kick(k, cpu);
}

void kemu_deliver_kicks(struct kemu_self *s)
{
	while (s->reschedules) {
		int cpu = __builtin_ctzll(s->reschedules);

		s->reschedules &= s->reschedules - 1;
		kemu_kick(s->k, &s->k->cpus[cpu]);
	}
}
