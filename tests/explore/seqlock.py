"""A reader that looks at the sequence only once and so sees half of a write; after the fix, twice."""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial


class Clock(kemu.PerCPU):
    """Only CPU 0's is used.  The sequence is odd while the two words are being written."""

    sequence = kemu.Word()
    seconds = kemu.Word()
    again = kemu.Word()         # what seconds is, too
    read = kemu.Word()
    read_again = kemu.Word()


race = kemu.Race("seqlock", cpus=2)


def read_retry(sequence: int) -> bool:
    """Whether a write came in between."""
    return Clock.on(0).sequence.load() != sequence


@race.before(read_retry)
def never_retry(sequence: int) -> bool:
    return False


def read_both() -> tuple[int, int]:
    clock = Clock.on(0)
    while True:
        sequence = clock.sequence.load()
        while sequence & 1:
            clock.sequence.wait_while(sequence)
            sequence = clock.sequence.load()
        both = clock.seconds.load(), clock.again.load()
        if not read_retry(sequence):
            return both


@race.actor(cpu=0)
def writer(t: Trial) -> None:
    with t.window():
        clock = Clock.on(0)
        clock.sequence.add(1)
        clock.seconds.store(7)
        clock.again.store(7)
        clock.sequence.add(1)


@race.actor(cpu=1)
def reader(t: Trial) -> None:
    with t.window():
        both = read_both()
    Clock.on(0).read.store(both[0])
    Clock.on(0).read_again.store(both[1])


@race.invariant()
def the_reader_saw_all_of_a_write_or_none(t: Trial) -> None:
    saw = Clock.on(0).read.load(), Clock.on(0).read_again.load()
    assert saw[0] == saw[1], f"the reader saw {saw}"
