"""Torture: workloads beside each other, hotplug under them, and an oracle that judges.

Linux: kernel/torture.c, and the scripts around rcutorture.

    worker     what a workload's function is called with, and the decorators for your own
    workloads  the built-in ones; promises and keventd have some of them
    partner    the thread that they park, bind and stop
    onoff      CPUs taken down and up at random
    run        one machine: workers, hotplug, shuffle, stutter, and the oracle
    jobs       several machines side by side; what they counted, added up
    bundle     the folder that a failure leaves

A file of your own, for ``kemu torture FILE``, needs two names of this room:

    from kemu.torture import invariant, workload
"""

from __future__ import annotations

from kemu.torture.worker import Turn, invariant, workload

__all__ = ["Turn", "invariant", "workload"]
