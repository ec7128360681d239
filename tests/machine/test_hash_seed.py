"""The hash of a text is the same in every machine."""

from __future__ import annotations

import sys

import kemu


def hashes_are_drawn() -> int:
    """1 if this process hashes texts with a seed of its own."""
    return sys.flags.hash_randomization


def test_the_cpu_processes_do_not_draw_a_seed_for_hashes():
    """A set of texts has one order, so a trial that walks over one can be run again."""
    with kemu.Machine(cpus=2) as machine:
        assert [machine.run(hashes_are_drawn, cpu=cpu) for cpu in range(2)] == [0, 0]
