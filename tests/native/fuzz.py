"""Garbage in native calls: nothing crashes, nothing hangs, nothing raises SystemError.

    python -m tests.native.fuzz [CALLS [SEED]]          (also: make fuzz)

Children of this process make CALLS (1,000,000) calls of random functions with random
arguments.  In a third of the children two threads call that are no tasks; in a third two
threads call that are tasks of a memory without a kernel; in a third a task on each CPU of a
machine calls.  A child may end with a result or with one of kemu's typed errors.  A crash, a
SystemError and a child that does not end are failures: this prints its seed and its last words.

Not called are: the waits for what nobody will do (wait_while, wait_for_completion), links
through the hardware's own words; in a task what makes it another task (enter, leave) or takes
a lock that other tasks need (task_rq_lock, the runqueue's methods); in a machine what replaces
its kernel (the vectors) or frees its tasks.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import kemu
from kemu import native
from kemu.errors import KemuError
from tests.native import memories
from tests.native.surface import LINKS, Boom, Call, Thing, World, is_tame, targets

KINDS = ("threads", "tasks", "machine")
CALLS_PER_CHILD = 10_000
CHILD_SECONDS = 120
STAYS_A_TASK = {"enter", "leave", "task_rq_lock", *(f"RunQueue.{name}" for name in vars(native.RunQueue))}
MACHINES_OWN = {"set_vectors", "set_tasks", "set_point_names", "set_lock_vector",
                "Memory.task_free", "die_with_parent", "Memory.wait_monitor"}
WAITS_FOR_OTHERS = {"wait_for_completion", "Word.wait_while"}
EDGES = [sign * (1 << bits) + away for bits in (31, 32, 62, 63, 64) for sign in (-1, 1)
         for away in (-1, 0, 1)]


def argument(draw: random.Random, things: list[str]) -> object:
    match draw.randrange(6):
        case 0:
            return Thing(draw.choice(things))
        case 1:
            return draw.choice(EDGES)
        case 2:
            return draw.choice([None, True, 1.5, "text", b"bytes", "\ud800", b""])
        case 3:
            return draw.randrange(1 << 22)
    return draw.randrange(-2, 10)


def is_allowed(call: Call, kind: str) -> bool:
    if call.name in WAITS_FOR_OTHERS or (kind != "threads" and call.name in STAYS_A_TASK):
        return False
    if kind == "machine" and call.name in MACHINES_OWN:
        return False
    if call.name in LINKS or kind != "machine":
        return is_tame(call)
    return True


def call_garbage(world: World, kind: str, seed: int, count: int) -> int:
    """So many calls; returns how many were made before one stopped the machine."""
    draw, known, things = random.Random(seed), targets(), sorted(world.things)
    if kind != "threads":
        things.remove("leaves")     # another task would wait for the locks of one that left
    made = 0
    while made < count:
        target = draw.choice(known)
        arity = target.arity if draw.random() < 0.9 else draw.randrange(6)
        call = Call(target.name, tuple(argument(draw, things) for _ in range(arity)))
        if is_allowed(call, kind):
            made += 1
            try:
                world.do(call)
            except Boom:
                pass
    return made


class SharedWorld(World):
    """A caller's own things in a memory that it shares: no caller ends with another's lock."""

    def __init__(self, memory: native.Memory) -> None:
        super().__init__()
        self.memory, self.word = memory, memories.new_word(memory)
        self.lock = memories.new_lock(memory)
        self.things |= {"memory": memory, "word": self.word, "lock": self.lock,
                        "block": memory.heap_alloc(100), "heap": self.word.offset,
                        "node": memory.heap_alloc(16), "head": memory.heap_alloc(16)}


def in_machine(seed: int, count: int) -> int:
    from kemu.kernel.own.system import system
    return call_garbage(SharedWorld(system.memory), "machine", seed, count)


def _in_machine(seed: int, count: int) -> None:
    """A task on each CPU calls.  The first may have damaged the machine before the second starts."""
    with kemu.Machine(cpus=2) as m, ending_as_an_error_of_kemus():
        handles = [m.start(in_machine, seed + n, count // 2, cpu=n) for n in range(2)]
        for handle in handles:
            with ending_as_an_error_of_kemus():
                try:
                    handle.result(timeout=CHILD_SECONDS / 4)
                except TimeoutError as error:
                    print(f"Timeout: {error}\n{m.report(stacks=True)}")


@contextmanager
def ending_as_an_error_of_kemus() -> Iterator[None]:
    """The machine may say what the garbage broke: then the block ends early."""
    try:
        yield
    except KemuError as error:
        print(f"{type(error).__name__}: {str(error).splitlines()[0]}")


def child(kind: str, seed: int, count: int) -> None:
    """One child's calls, half of them by each of two threads or tasks."""
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}: one of {KINDS}")
    if kind == "machine":
        _in_machine(seed, count)
        return
    memory = World().memory
    calls = [partial(call_garbage, SharedWorld(memory), kind, seed + n, count // 2)
             for n in range(2)]
    if kind == "tasks":
        calls = [memories.as_task(memory, call, slot) for slot, call in enumerate(calls)]
    memories.together(*calls)


def run_child(kind: str, seed: int, count: int) -> str:
    """"" or how the child failed."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.native.fuzz", "child",
               kind, str(seed), str(count)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=CHILD_SECONDS)
    except subprocess.TimeoutExpired:
        return f"{kind} {seed}: did not end in {CHILD_SECONDS} s"
    if done.returncode or "SystemError" in done.stdout + done.stderr or "Timeout" in done.stdout:
        return f"{kind} {seed}: status {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-1500:]}"
    return ""


def main(calls: str = "1_000_000", seed: str = "1") -> int:
    failures = 0
    for number in range(-(-int(calls) // CALLS_PER_CHILD)):
        kind = KINDS[number % len(KINDS)]
        failure = run_child(kind, int(seed) + 2 * number, CALLS_PER_CHILD)
        failures += bool(failure)
        if failure:
            print(failure, flush=True)
    print(f"{calls} calls, from seed {seed}: {failures} children failed")
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main(*sys.argv[1:]))
