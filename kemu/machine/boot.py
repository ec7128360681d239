"""A machine's memory as the CPUs expect it at power-on.

Linux: kernel/sched/core.c (init_idle), kernel/cpu.c (the masks at boot).

Locks: none; no other process has seen the memory.  Callers: machine.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence

from kemu import native
from kemu.errors import MachineError
from kemu.kernel.own.version import version_number
from kemu.kernel.sched.runqueue import IDLE
from kemu.machine import programme
from kemu.machine.helper_link import search_path
from kemu.machine.override import Override
from kemu.memory.views import Cpu, Header, Tasks

MIB = 1 << 20
HZ = 1000


def new_memory(cores: Sequence[int], others: Sequence[int], *, poll_us: int, tasks: int, warn: bool,
               kernel: str, mib: int) -> native.Memory:
    """Create the memory, and fill in what the CPUs expect.  Raises MachineError if there is no room.

    cores: the host core of each CPU.  others: how many other machines are on that core.
    The heap and the arena of functions have that many MiB of address space each: a page
    costs memory once it is used.
    """
    cpus, number = len(cores), version_number(kernel)
    try:
        memory = native.Memory.create(cpus, tasks, mib * MIB, mib * MIB)
    except OSError as error:
        raise MachineError(f"no shared memory for a machine with memory={mib} MiB: "
                           f"{error}") from error
    header = Header(memory)
    everybody = (1 << cpus) - 1
    header.possible_mask.store(everybody)
    header.present_mask.store(everybody)
    header.online_mask.store(1)
    header.active_mask.store(1)
    header.poll_max_ns.store(poll_us * 1000)
    header.tick_ns.store(1_000_000_000 // HZ)
    header.warn_is_allowed.store(int(warn))
    header.era.store(number)
    views = Tasks(memory)
    for cpu, core in enumerate(cores):
        init_idle(memory, views, cpu, core, list(cores).count(core) + others[cpu])
    return memory


def init_idle(memory: native.Memory, views: Tasks, cpu: int, core: int, sharers: int) -> None:
    """A CPU and its swapper, which is what it runs (Linux: init_idle).

    on_rq is 1 although no queue links an idle task, and stays 1.  A waker therefore takes it
    for a task that has not left its runqueue, and stores TASK_RUNNING only.  With on_rq 0 the
    waker would wait until swapper leaves its CPU, and an interrupt that wakes swapper on that
    CPU would wait for itself (Linux: 77177856e3bf).
    """
    idle = views.at(memory.task_alloc())
    idle.set_comm(f"swapper/{cpu}")
    idle.cpu.store(cpu)
    idle.home.store(cpu)
    idle.host_core.store(core + 1)
    idle.cpus_allowed.store(1 << cpu)
    idle.sched_class.store(IDLE)
    idle.prio.store(120)
    idle.on_rq.store(1)
    idle.on_cpu.store(1)
    idle.preempt_count.store(1)
    rq = Cpu(memory, cpu)
    rq.host_core.store(core)
    rq.sharers.store(sharers)
    rq.idle.store(idle.slot)
    rq.curr.store(idle.slot)


def _working_directory() -> str:
    """The working directory; "" if it was removed, and then the CPUs stay in the helper's."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def publish_setup(memory: native.Memory, overrides: Sequence[Override], carried: object) -> int:
    """Publish what each CPU process needs to know before its first task.  Returns its offset."""
    setup = {"path": search_path(), "cwd": _working_directory(),
             "programme": programme.dumps(overrides, carried)}
    return memory.publish(pickle.dumps(setup))
