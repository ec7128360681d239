"""Which steps of a trial depend on which, and which pairs could have come in the other order.

Two steps of different CPUs depend on each other if

    both touch the same word, and one of them writes it
    one writes into a CPU's own words, whatever the other does there: it may ring that CPU
    one polls, and the other writes any word
    nothing is known of what one of them touches
    after the one, the other's CPU can go on, and before it that CPU could not

and the steps of one CPU depend on each other in their order.  Happens-before is what follows from
these pairs in the order of the trial.  Two trials with the same happens-before end alike: each
step sees the same, and so does an invariant that reads the words at the end.

A pair in dependence is a *race* if nothing but the pair itself orders the two.  A step that may
have to wait (a lock, a wait, a poll, the end of an idle time) races not only with the last step
of a CPU that it depends on, but with those before, up to one at which its CPU could go on.

To name too many pairs costs schedules.  To name too few loses them, so in doubt a pair is named.

Linux: none; kemu's own.
Locks: none.  Callers: reduced.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

from kemu import native
from kemu.explore.record import Step

WAITING = frozenset({native.OP_LOCK, native.OP_WAIT, native.OP_RELAX, native.OP_IDLE, native.OP_TURN})
SILENT = frozenset({native.OP_POINT, native.OP_START})
TOUCHES = native.STEP_READS | native.STEP_WRITES

Places = dict[int, list[int]]       # of each CPU, the numbers of some of its steps


class Order:
    """The happens-before order of a trial."""

    def __init__(self, steps: Sequence[Step], cpu_words: range) -> None:
        self.steps, self.cpu_words = steps, cpu_words
        self.cpus = 1 + max((step.cpu for step in steps), default=0)
        self.of_cpu: Places = defaultdict(list)
        self.writers: Places = defaultdict(list)            # steps that write any word
        self.wild: Places = defaultdict(list)               # steps of which nothing is known
        self.bells: dict[int, Places] = defaultdict(lambda: defaultdict(list))
        self.touched: dict[int, Places] = defaultdict(lambda: defaultdict(list))
        self.written: dict[int, Places] = defaultdict(lambda: defaultdict(list))
        self.clocks: list[list[int]] = []
        self.places: list[int] = []                         # of a step among those of its CPU, from 1
        self.enabler: dict[int, int] = {}                   # of a CPU, the step that let it go on
        self.pairs = [self._take(number) for number in range(len(steps))]

    def writes(self, step: Step) -> bool:
        return bool(step.flags & native.STEP_WRITES)

    def bell_of(self, word: int) -> int:
        """The CPU that the word belongs to; -1 if to none."""
        return (word - self.cpu_words.start) // self.cpu_words.step if \
            self.cpu_words.start <= word < self.cpu_words.stop else -1

    def conflicting(self, step: Step) -> list[Places]:
        """The earlier steps that depend on this one, by CPU."""
        if step.flags & TOUCHES == 0 and step.op not in SILENT:
            return [self.of_cpu]
        found = [self.wild, self.bells[step.cpu]]
        if step.flags & TOUCHES:
            found.append((self.touched if self.writes(step) else self.written)[step.word])
        if step.op == native.OP_RELAX:
            found.append(self.writers)
        bell = self.bell_of(step.word) if self.writes(step) else -1
        if bell not in (-1, step.cpu):
            found.append({bell: self.of_cpu[bell]})
        return found

    def before(self, first: int, second: int) -> bool:
        """Whether the first step happens before the second, which comes later in the trial."""
        return self.clocks[second][self.steps[first].cpu] >= self.places[first]

    def races(self, since: int) -> Iterator[tuple[int, int]]:
        """The races whose second step is this or a later one."""
        for second in range(since, len(self.steps)):
            for first in self.pairs[second]:
                yield first, second

    def others(self, first: int, second: int) -> dict[int, int]:
        """The CPUs with a step that the second needs and that does not need the first; its number."""
        found = {}
        for cpu, mine in self.of_cpu.items():
            place = bisect_right(mine, first)
            if cpu == self.steps[first].cpu or place == len(mine):
                continue
            number = mine[place]
            if number == second or (place < self.clocks[second][cpu] and not self.before(first, number)):
                found[cpu] = number
        return found

    def _take(self, number: int) -> list[int]:
        """Put the next step in its place; return the steps that it races with."""
        step, steps = self.steps[number], self.steps
        mine = self.of_cpu[step.cpu]
        last = mine[-1] if mine else -1
        clock = list(self.clocks[last]) if mine else [0] * self.cpus
        enabler = self.enabler.pop(step.cpu, -1)
        sources = self.conflicting(step)
        if enabler >= 0:
            sources.append({steps[enabler].cpu: [enabler]})
        races: dict[int, None] = {}
        if mine and (step.alt >= native.ALT_IRQ or steps[last].alt >= native.ALT_IRQ):
            races[last] = None
        waits = step.op in WAITING or enabler >= 0
        for source in sources:
            for cpu, found in source.items():
                if cpu == step.cpu or not found:
                    continue
                races |= dict.fromkeys(self._unordered(found, step, last, waits))
                clock = list(map(max, clock, self.clocks[found[-1]]))
        clock[step.cpu] = len(mine) + 1
        self.clocks.append(clock)
        self.places.append(len(mine) + 1)
        self._note(number, step)
        return list(races)

    def _unordered(self, found: list[int], step: Step, last: int, waits: bool) -> Iterator[int]:
        """Which of these steps are not before the last step of the CPU: the latest, or more if it waits."""
        for first in reversed(found):
            if last >= 0 and self.before(first, last):
                return
            yield first
            if not waits or (first > last and self.steps[first].enabled >> step.cpu & 1):
                return

    def _note(self, number: int, step: Step) -> None:
        cpu = step.cpu
        self.of_cpu[cpu].append(number)
        if step.flags & TOUCHES:
            self.touched[step.word][cpu].append(number)
        elif step.op not in SILENT:
            self.wild[cpu].append(number)
        if self.writes(step):
            self.written[step.word][cpu].append(number)
            self.writers[cpu].append(number)
            bell = self.bell_of(step.word)
            if bell not in (-1, cpu):
                self.bells[bell][cpu].append(number)
        if number + 1 < len(self.steps):
            came = self.steps[number + 1].enabled & ~step.enabled & ~(1 << cpu)
            for other in range(came.bit_length()):
                if came >> other & 1:
                    self.enabler[other] = number
