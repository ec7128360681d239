"""The emulated hardware as the kernel of this process sees it: memory, header, tasks.

kemu's own.  A CPU process belongs to one machine for life.  `system` is filled when the
process attaches the machine's memory (kemu.memory.current_memory), before its first task runs.

    system.memory    the shared memory
    system.header    the words that belong to no CPU: masks, gate, panic
    system.tasks     the table of task slots
    system.nr_cpus   how many CPUs the machine has (Linux: nr_cpu_ids)

Locks: none.
"""

from __future__ import annotations

from typing import Final, NoReturn

from kemu import native
from kemu.errors import NoTask
from kemu.memory import current_memory
from kemu.memory.views import Header, Tasks, tasks_of


class _System:
    """What this process's kernel works on; empty outside a CPU process."""

    memory: native.Memory
    header: Header
    tasks: Tasks
    nr_cpus: int

    def __getattr__(self, name: str) -> NoReturn:
        """Python calls this only for an attribute that is missing: outside a CPU process, each one."""
        if name in ("memory", "header", "tasks", "nr_cpus"):
            raise NoTask("the calling thread is not a task of a machine, and only a task may do "
                         "this: run the function in a task, with Machine.run()")
        raise AttributeError(name)

    def __reduce__(self) -> str:
        return "system"        # in each process its own: never a copy


system: Final = _System()


@current_memory.on_attach
def _attach(memory: native.Memory) -> None:
    system.memory = memory
    system.header = Header(memory)
    system.tasks = tasks_of(memory)
    system.nr_cpus = system.header.nr_cpus.load()
    native.set_tasks(system.tasks)
