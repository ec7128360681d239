"""message-without-wmb: a message is announced before it is there.

Before: a pattern, and no commit.  The two sides differ by one smp_wmb().

    CPU0 (sender)                       CPU1 (receiver)
    message = 7
      (the store waits in CPU0's buffer)
    ready = 1
                                        ready is 1; smp_rmb()
                                        message is 0
    the store of message reaches memory

After, smp_wmb() stands between the two stores, and pairs with the receiver's smp_rmb().

x86 keeps the order of stores, so this needs memory=weak.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel.barrier import smp_rmb, smp_wmb

race = kemu.Race(
    "message-without-wmb", cpus=2, memory="weak",
    origin="a pattern: two stores without smp_wmb() in between",
    title="a message is announced before other CPUs see it",
    budget="exhaustive --memory weak: a hit with 2 preemptions")
race.witness("received", "the receiver found the announcement")

MESSAGE = 7


class Mailbox(kemu.PerCPU):
    """What the two share."""

    message = kemu.Word()
    ready = kemu.Word()
    received = kemu.Word()      # 1 + what the receiver read; 0: it found no announcement


def publish(box: Mailbox) -> None:
    """The message first, and then the announcement."""
    box.message.store(MESSAGE)
    smp_wmb()
    box.ready.store(1)


@race.before(publish)
def publish_in_any_order(box: Mailbox) -> None:
    """The message and the announcement."""
    box.message.store(MESSAGE)
    box.ready.store(1)


@race.actor(cpu=0)
def sender(t: Trial) -> None:
    with t.window():
        publish(Mailbox.on(0))


@race.actor(cpu=1)
def receiver(t: Trial) -> None:
    box = Mailbox.on(0)
    with t.window():
        if box.ready.load():
            t.witness("received")
            smp_rmb()
            box.received.store(1 + box.message.load())


@race.invariant()
def the_message_is_whole(t: Trial) -> None:
    """What was announced is there."""
    received = Mailbox.on(0).received.load()
    assert received in (0, 1 + MESSAGE), f"the receiver read {received - 1}, and not {MESSAGE}"


@race.postcondition
def the_message_is_sent(t: Trial) -> None:
    """The message is in the box at the end, and is announced."""
    box = Mailbox.on(0)
    assert (box.message.load(), box.ready.load()) == (MESSAGE, 1), "the message was not sent"
