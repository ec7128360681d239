"""A user's wrong fix, whose window is inside __kthread_parkme(): jitter finds it."""

from __future__ import annotations

import pytest

import kemu
from kemu.harness.runner import Plan, run_race
from kemu.kernel import kthread, sched


class Mailbox(kemu.PerCPU):
    """Of CPU 0."""

    mail = kemu.Word()
    looked = kemu.Word()        # the reader has found no mail


def read(box: Mailbox) -> None:
    """Sleep until there is mail.  Each side has its own."""


def look_first(box: Mailbox) -> None:
    """As shipped: the sender may unpark the reader before the reader has asked to park."""
    if not box.mail.load():
        box.looked.store(1)
        kthread.kthread_park(sched.current())       # of itself: it only sets SHOULD_PARK
        kthread.kthread_parkme()


def ask_first(box: Mailbox) -> None:
    """The fix: the sender may still unpark the reader before the reader has set IS_PARKED."""
    kthread.kthread_park(sched.current())
    if not box.mail.load():
        box.looked.store(1)
        kthread.kthread_parkme()
    else:
        kthread.kthread_unpark(sched.current())


def a_mailbox(how_it_reads) -> kemu.Race:
    """As a user would write it: a reader, a sender, and the reader's sleep that never ends is the hit."""
    race = kemu.Race("mailbox", cpus=2)
    race.witness("looked", "the reader had found no mail when the mail came")
    race.before(read)(how_it_reads)

    @race.actor(cpu=0)
    def reader(t):
        with t.window():
            read(Mailbox.on(0))

    @race.actor(cpu=1)
    def sender(t):
        box = Mailbox.on(0)
        with t.window():
            box.mail.store(1)
            if box.looked.load():
                t.witness("looked")
            kthread.kthread_unpark(t.task(reader))

    race.asleep(reader)
    return race


@pytest.mark.parametrize("how_it_reads", [look_first, ask_first])
def test_jitter_finds_both_windows(how_it_reads):
    """The fix moves the window from the reader's code into the kernel's, and does not close it."""
    race = a_mailbox(how_it_reads)
    side = run_race(race, Plan("jitter", seconds=60, enough_hits=1), ("before",)).before
    assert side.verdict.value == "HIT", str(side.doubts)
