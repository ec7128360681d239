"""Mutants that do nothing wrong, and why: no test can kill them.

A mutant is named by its module, its function, its change, and which of the function's sites with
that change it is (the first is 1).  It has no line, so that the explanation stays when the lines
above it change.

Callers: score, test_mutants.
"""

from __future__ import annotations

from tests.mutants.draw import Mutant, Site, sites

NOT_READ = "no caller reads the result"
EXIT_CODE = "the thread's exit code is not read"
NODE = "the NUMA node, which kemu does not use"
ONCE_MORE = "the loop goes round once more, stores the state, and then sleeps"
ELSEWHERE = ("a wake-up places a task whose CPU is offline on another CPU by itself; Linux 2.6.6 needs "
             "the bind for that")

Key = tuple[str, str, str, int]
EQUIVALENT: dict[Key, str] = {
    ("kemu.kernel.hotplug.cpu", "cpuhp_report_idle_dead", "swap `False` in column 78", 1):
        "the dying CPU waits until the call has run, and is dead then",
    ("kemu.kernel.hotplug.cpuhp_thread", "__cpuhp_kick_ap", "drop the store `st.result.store(0)`", 1):
        "cpuhp_thread_fun() stores a result before it completes done",
    ("kemu.kernel.hotplug.cpuhp_thread", "cpuhp_invoke_ap_callback",
     "drop the store `st.single.store(0)`", 1):
        "cpuhp_set_state() stores 0 before the thread reads it again",
    ("kemu.kernel.hotplug.sched_cpu", "migrate_tasks", "drop `dead_rq.lock.unlock()`", 2):
        "not reached: every other CPU stands still, so no task leaves the queue meanwhile",
    ("kemu.kernel.sched.runqueue", "_PerProcess.__init__", "return at the start", 1):
        "runs at import only, before a mutant can be put in place",
    ("kemu.kernel.stop_machine", "queue_stop_cpus_work", "negate `return queued`", 1):
        NOT_READ + ": if no work was queued, Stop.wait() says -ENOENT",
    ("kemu.kernel.stop_machine", "stop_machine_from_inactive_cpu", "swap `0` in column 68", 1):
        "one work more is taken, not used, and given back",
    ("kemu.kernel.v2_6.kmod", "____call_usermodehelper", "swap `0` in column 11", 1): EXIT_CODE,
    ("kemu.kernel.v2_6.kmod", "__call_usermodehelper", "swap `1` in column 68", 1): NODE,
    ("kemu.kernel.v2_6.migration_call", "migration_call",
     "drop `kthread_bind(_thread(cpu), online_cpus()[0])`", 1): ELSEWHERE,
    ("kemu.kernel.v2_6.softirq", "ksoftirqd", "drop `set_current_state(TASK_INTERRUPTIBLE)`", 1): ONCE_MORE,
    ("kemu.kernel.v2_6.softirq", "ksoftirqd", "drop `__set_current_state(TASK_RUNNING)`", 2):
        "the thread ends; a task that dies may be in any state",
    ("kemu.kernel.v2_6.softirq", "softirq_call", "invert `action == CPU_UP_CANCELED`", 1): ELSEWHERE,
    ("kemu.kernel.v2_6.stop_machine", "do_stop", "drop `set_current_state(TASK_INTERRUPTIBLE)`", 2):
        "after a wake-up for no reason the thread polls until it is stopped",
    ("kemu.kernel.v2_6.stop_machine", "do_stop", "negate `return ret`", 1): EXIT_CODE,
    ("kemu.kernel.v2_6.stop_machine", "stopmachine", "swap `0` in column 11", 1): EXIT_CODE,
    ("kemu.kernel.v2_6.workqueue", "start_workqueue", "swap `1` in column 56", 1): NODE,
}


def keys(module: str) -> dict[Key, Site]:
    """Every site of a module, by its key."""
    found: dict[Key, Site] = {}
    for site in sites(module):
        which = sum(key[1:3] == (site.function, site.change) for key in found) + 1
        found[module, site.function, site.change, which] = site
    return found


def explanation(mutant: Mutant) -> str:
    """Why the mutant does nothing wrong; "" if that is not known."""
    it = mutant.function, mutant.change, mutant.line
    return next((EQUIVALENT.get(key, "") for key, site in keys(mutant.module).items()
                 if (site.function, site.change, site.line) == it), "")
