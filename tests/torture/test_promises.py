"""What the workload `roam` asserts: a move that was promised, and when it was not promised."""

from __future__ import annotations

from unittest import mock

import pytest

from kemu.kernel import sched
from kemu.kernel.sched.migration import do_set_cpus_allowed
from kemu.torture import promises
from kemu.torture.worker import Control, Turn, Worker

EVERYWHERE = 0b11


def ask_a_kernel_that_moves_nothing(downs: int) -> None:
    """The mask changes and the task stays; meanwhile Control.downs grows by so many."""
    me = sched.current()

    def stays(p, mask):
        Control.on(0).downs.add(downs)
        do_set_cpus_allowed(p, mask)
        return 0

    try:
        with mock.patch.object(promises.sched, "set_cpus_allowed_ptr", stays):
            promises._move_away(Turn(Worker.alloc(), 1), me)
    finally:
        do_set_cpus_allowed(me, EVERYWHERE)


def test_a_task_that_stays_breaks_the_promise(machine):
    """No CPU went down, so the task had to leave."""
    with pytest.raises(AssertionError, match="has returned 0, and"):
        machine(2).run(ask_a_kernel_that_moves_nothing, 0)


@pytest.mark.parametrize("downs", [1, 2])
def test_a_cpu_that_goes_down_meanwhile_voids_the_promise(machine, downs):
    """As in v4.13, the move is dropped if the CPU that was chosen goes down; that is no failure."""
    machine(2).run(ask_a_kernel_that_moves_nothing, downs)
