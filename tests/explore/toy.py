"""A machine of a page, for the strategies: small programs, one per CPU, run by a plan.

A program is a list of operations on a few words:

    ("load", w)   ("store", w, v)   ("add", w, v)
    ("lock", w)   ("unlock", w)
    ("wait", w, v)      goes on when the word is not v
    ("if", w, v, n)     loads the word; unless it is v, leaves out the next n operations
"""

from __future__ import annotations

from kemu import native
from kemu.explore.record import Step

OPS = {"load": (native.OP_LOAD, native.STEP_READS), "if": (native.OP_LOAD, native.STEP_READS),
       "store": (native.OP_STORE, native.STEP_WRITES),
       "add": (native.OP_ADD, native.STEP_READS | native.STEP_WRITES),
       "lock": (native.OP_LOCK, native.STEP_READS | native.STEP_WRITES),
       "unlock": (native.OP_UNLOCK, native.STEP_WRITES),
       "wait": (native.OP_WAIT, native.STEP_READS)}
NOBODY = native.MAX_CPUS


class Toy:
    """One trial of a program."""

    def __init__(self, program, choices: bytes) -> None:
        self.program, self.choices = program, choices
        self.at = [0] * len(program)
        self.words: dict[int, int] = {}
        self.steps: list[Step] = []
        self.made = 0

    def enabled(self) -> int:
        return sum(1 << cpu for cpu in range(len(self.program)) if self.can_go_on(cpu))

    def can_go_on(self, cpu: int) -> bool:
        if self.at[cpu] >= len(self.program[cpu]):
            return False
        op, word, *rest = self.program[cpu][self.at[cpu]]
        held = self.words.get(word, 0)
        return not ((op == "lock" and held) or (op == "wait" and held == rest[0]))

    def choose(self, enabled: int, before: int) -> int:
        planned = self.choices[self.made:self.made + 1]
        if planned:
            assert enabled >> planned[0] & 1, "the plan names a CPU that cannot go on"
            return planned[0]
        if before < NOBODY and enabled >> before & 1:
            return before
        return (enabled & -enabled).bit_length() - 1

    def run(self) -> list[Step]:
        before = NOBODY
        while enabled := self.enabled():
            chosen = enabled & (enabled - 1) != 0
            cpu = self.choose(enabled, before) if chosen else enabled.bit_length() - 1
            self.do(cpu, enabled, self.made if chosen else native.NO_CHOICE, before)
            self.made += chosen
            before = cpu
        return self.steps

    def do(self, cpu: int, enabled: int, choice: int, before: int) -> None:
        op, word, *rest = self.program[cpu][self.at[cpu]]
        seen = self.words.get(word, 0)
        after = {"store": lambda: rest[0], "add": lambda: seen + rest[0], "lock": lambda: 1,
                 "unlock": lambda: 0}.get(op, lambda: seen)()
        self.words[word] = after
        self.at[cpu] += 1 + (rest[1] if op == "if" and seen != rest[0] else 0)
        number, flags = OPS[op]
        self.steps.append(Step(**dict.fromkeys(Step._fields, 0) | {
            "op": number, "cpu": cpu, "task": cpu, "word": word, "seen": seen, "after": after,
            "flags": flags, "alt": cpu, "enabled": enabled, "choice": choice, "before": before}))


def outcome(steps):
    """What each CPU saw, in its order, and what each word held at the end."""
    seen: dict[int, list[tuple[int, int, int]]] = {}
    for step in steps:
        seen.setdefault(step.cpu, []).append((step.op, step.word, step.seen))
    return (tuple((cpu, tuple(saw)) for cpu, saw in sorted(seen.items())),
            tuple(sorted({step.word: step.after for step in steps}.items())))


def outcomes(program, strategy):
    """The outcomes of all schedules; only "deadlock" if there is one, where a search would end."""
    found = set()
    while (plan := strategy.next()) is not None:
        toy = Toy(program, plan.choices)
        steps = toy.run()
        if any(at < len(program[cpu]) for cpu, at in enumerate(toy.at)):
            return {"deadlock"}
        strategy.learn(plan, 0, steps)
        found.add(outcome(steps))
    return found
