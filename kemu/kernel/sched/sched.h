/*
 * sched.h - the scheduler's C halves: what each .c file of this folder offers.
 *
 * Linux: kernel/sched/sched.h.  Each mechanism has a Python half of the same name beside it,
 * which says what must hold; the C half is the path that every wake-up and switch takes.
 * No race replaces the inside of a C half.
 */
#ifndef KEMU_SCHED_H
#define KEMU_SCHED_H

#include "hardware/hardware.h"

/* runqueue.c: the queues of a CPU's classes */
int kemu_enqueue(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t);
int kemu_dequeue(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t);
int kemu_first_queued(struct kemu *k, struct kemu_cpu *cpu, u64 *slot);
int kemu_activate(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t);
int kemu_deactivate(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t);
int kemu_pick_next(struct kemu *k, struct kemu_cpu *cpu, u64 *slot);
void kemu_check_preempt(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t);
void kemu_resched_curr(struct kemu *k, struct kemu_cpu *cpu);
int kemu_task_rq_lock(struct kemu_self *s, struct kemu_task *p, struct kemu_cpu **rq);

/* timer.c: a CPU's next event */
int kemu_program_event(struct kemu *k, struct kemu_cpu *cpu);
int kemu_update_tick(struct kemu_self *s, struct kemu_cpu *cpu);
int kemu_begin_slice(struct kemu_self *s, struct kemu_cpu *cpu);

/* schedule.c: the switch from task to task, and idling in place */
int kemu_schedule(struct kemu_self *s, bool preempt, u64 *dead);
int kemu_switch_once(struct kemu_self *s, bool preempt, u64 *dead);
int kemu_finish_switch(struct kemu_self *s, u64 last, u64 *dead);

/* home.c: tasks of one home that run at once */
void kemu_comes_to(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *next);
void kemu_goes_from(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *prev);

/* wakeup.c: try_to_wake_up */
int kemu_try_to_wake_up(struct kemu_self *s, struct kemu_task *p, u64 mask);
int kemu_select_fallback(struct kemu *k, struct kemu_task *p, u64 *cpu);
u64 kemu_usable_mask(struct kemu *k, struct kemu_task *p);

/* state.c: a state that a late waker must not overwrite */
int kemu_set_special_state(struct kemu_self *s, u64 state);

/* wait.c: one look of wait_task_inactive */
enum kemu_look { LOOK_RUNNING = 1, LOOK_QUEUED = 2, LOOK_OTHER_STATE = 4 };
int kemu_look_inactive(struct kemu_self *s, struct kemu_task *p, u64 state, u64 *what, u64 *switches);

/* completion.c */
int kemu_complete(struct kemu_self *s, u64 off, bool all);
int kemu_wait_for_completion(struct kemu_self *s, u64 off, u64 deadline, u64 *dead);

#endif
