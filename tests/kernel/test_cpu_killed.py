"""A CPU process is killed in each hotplug state in turn: a MachineError, never a hang."""

from __future__ import annotations

import os
import signal

import pytest

from kemu import MachineError
from kemu.kernel.hotplug import cpuhp
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.hotplug.cpuhp import CpuhpState as S
from kemu.kernel.sched.runqueue import cpu_rq
from kemu.machine.override import make_override, original_of
from kemu.memory.struct import PerCPU, Word

STATES = [S.CPUHP_CREATE_THREADS, S.CPUHP_TIMERS_PREPARE, S.CPUHP_BRINGUP_CPU,
          S.CPUHP_AP_SCHED_STARTING, S.CPUHP_TEARDOWN_CPU, S.CPUHP_AP_SMPBOOT_THREADS,
          S.CPUHP_AP_ACTIVE]


class Doom(PerCPU):
    """Of CPU 0: whom to kill, plus one, and in which state."""

    victim = Word()
    state = Word()


def kill_in_state(cpu: int, state: int, bringup: bool) -> int:
    """cpuhp_invoke_callback(), after the kill if this is the state.

    One kill: the others may come round again before they hear of it, and the victim
    may have been reaped by then.
    """
    doom = Doom.on(0)
    victim = doom.victim.xchg(0) if doom.state.load() == state else 0
    if victim:
        os.kill(cpu_rq(victim - 1).os_pid.load(), signal.SIGKILL)
    return original_of(cpuhp.cpuhp_invoke_callback)(cpu, state, bringup)


def down_and_up(victim: int, state: int, up: bool) -> None:
    doom = Doom.on(0)
    doom.state.store(state)
    doom.victim.store(0 if up else victim + 1)
    cpu_down(1)
    doom.victim.store(victim + 1)
    while True:
        cpu_up(1)
        cpu_down(1)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_killed(machine, victim, up, state):
    """Whichever process dies, the control task's, the CPU's or a third."""
    m = machine(3, overrides=[make_override(cpuhp.cpuhp_invoke_callback, kill_in_state)])
    parameters = (victim, int(state), up)
    with pytest.raises(MachineError, match=f"CPU {victim} died by signal 9"):
        m.run(down_and_up, *parameters, timeout=60)
