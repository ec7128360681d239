/*
 * quiet.c - does any CPU have something to do?
 *
 * The last CPU to go idle looks at all CPUs.  If none has anything to do, it ends the first
 * hold of the script.  If the script holds nothing, it raises IPI_QUIESCENT for the kernel.
 *
 *	cpu.idling	<- CPU_IDLE or CPU_HELD by that CPU, before it looks; CPU_BUSY by that
 *			   CPU, before it takes what woke it (cpu.c)
 *	cpu.idled	<- by that CPU: how often it has gone idle
 *	header.gate	GATE_QUIESCE <- set by the kernel (arm_quiescence); cleared by the one
 *			   CPU that reports that all is quiet
 *
 * Locks: none.  Callers: cpu.c and hold.c, when a CPU has gone idle; Python's all_blocked().
 */
#include "hardware.h"

/*
 * Looks at each CPU: does it idle with nothing due, or is it held?  A CPU that plays dead
 * idles too.  times: how often all CPUs together have gone idle.
 *
 * The scan reads what is due before it reads idling.  A CPU marks itself busy before it
 * takes what woke it.  So if the scan finds that something due was taken, it also finds
 * that idling changed.
 */
static bool each_blocked(struct kemu *k, u64 *times)
{
	*times = 0;
	for (u64 i = 0; i < k->nr_cpus; i++) {
		struct kemu_cpu *cpu = &k->cpus[i];
		bool due = kemu_idle_must_end(cpu) ||
			   (load(&cpu->next_event) < KEMU_NEVER && !load(&cpu->irqs_off));
		bool still = kemu_stands_still(k, cpu);
		u64 idling;

		smp_mb();
		idling = load_acquire(&cpu->idling);
		*times += load_acquire(&cpu->idled);
		if (!(idling == CPU_HELD && still) && !(idling == CPU_IDLE && !due))
			return false;
	}
	return true;
}

/*
 * Whether every CPU idles with nothing due, or is held.  The caller has executed smp_mb().
 *
 * One scan is not enough: CPU A, which the scan saw idle, may be woken by CPU B, which then
 * goes idle before the scan reaches it.  But if no CPU went idle anew between two scans,
 * each CPU has idled from the first to the second.  The second scan finds what became due
 * in between, because only a CPU that is awake takes it.
 *
 * If a CPU did go idle in between, that CPU looks for itself.  The last CPU to go idle sees
 * all others idle, because their smp_mb()s came before its own, and sees nothing change.
 */
bool kemu_all_blocked(struct kemu *k)
{
	u64 first, second;

	return each_blocked(k, &first) && each_blocked(k, &second) && first == second;
}

/* The interrupt goes to the first CPU that is online: the last CPU to go idle may play dead. */
static void raise_quiescent(struct kemu *k)
{
	u64 online = load(&k->hdr->online_mask);

	for (u64 i = 0; i < k->nr_cpus; i++)
		if (online & 1ULL << i) {
			fetch_or(&k->cpus[i].ipi, IPI_QUIESCENT);
			kemu_kick(k, &k->cpus[i]);
			return;
		}
}

/*
 * Of the CPUs that found all blocked, the one whose fetch_and clears GATE_QUIESCE reports it.
 * Its scan may be old, and the kernel may have set the bit again since.  So it scans once
 * more, and sets the bit again if something runs.  A CPU that went idle while the bit was
 * clear did not scan: so after the fetch_or, a full barrier, this CPU scans for it.
 */
static void report_quiet(struct kemu *k)
{
	do {
		if (!(fetch_and(&k->hdr->gate, ~(u64)GATE_QUIESCE) & GATE_QUIESCE))
			return;
		if (kemu_all_blocked(k)) {
			raise_quiescent(k);
			return;
		}
		fetch_or(&k->hdr->gate, GATE_QUIESCE);
	} while (kemu_all_blocked(k));
}

/* The calling CPU has marked itself idle or held (kemu_mark_idle()). */
void kemu_went_idle(struct kemu *k)
{
	if (kemu_all_blocked(k) && !kemu_end_first_hold(k))
		report_quiet(k);
}
