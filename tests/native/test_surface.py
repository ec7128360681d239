"""Nothing that Python passes crashes or hangs the interpreter.

Each function is called with anything, by a thread that is no task and by one that
is, on a machine that runs and on one that has stopped and whose memory somebody
has scribbled on.  All of it in a child process.
"""

from __future__ import annotations

import ast
import os
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kemu import native
from kemu.errors import MachineStopped, UsageError
from tests.native import child, memories
from tests.native.surface import (CLASSES, STUB, WAITS, Call, Enters, Target, Thing, World, is_tame,
                                  targets)

TARGETS = targets()
FIELDS = World().fields()
THINGS = [Thing(name) for name in sorted(World().things)]
EDGES = sorted({sign * (1 << bits) + away for bits in (31, 32, 62, 63, 64) for sign in (-1, 1)
                for away in (-1, 0, 1)})

ints = st.integers(-2, 9) | st.integers(0, 1 << 21) | st.sampled_from(EDGES) | st.integers()
anything = (ints | st.sampled_from(THINGS) | st.booleans() | st.none()
            | st.floats() | st.text(max_size=5) | st.binary(max_size=70))
scribbles = st.lists(st.tuples(
    st.sampled_from(FIELDS) | st.integers(0, 1 << 22),
    ints.map(lambda value: (value + (1 << 63)) % (1 << 64) - (1 << 63))), max_size=6)


def calls(target: Target) -> st.SearchStrategy[Call]:
    right = st.tuples(*[anything] * target.arity)
    return (right | st.lists(anything, max_size=6).map(tuple)).map(
        lambda args: Call(target.name, args))


any_call = st.sampled_from(TARGETS).flatmap(calls)


def stop_and_scribble(world: World, marks: list[tuple[int, int]]) -> None:
    for offset, value in marks:
        world.scribble(offset, value)
    world.scribble(native.HEADER["gate"], native.GATE_PANIC)


def carry_out(world: World, plan: list[Call], marks: list[tuple[int, int]] | None, *,
              task: bool) -> None:
    """In a thread of its own, as native.enter() cannot be undone for signals."""
    def body() -> None:
        if task:
            native.enter(world.memory, 0, Enters(world.memory))
        if marks is not None:
            stop_and_scribble(world, marks)
        try:
            for call in plan:
                world.do(call)
        finally:
            native.leave()
            native.leave()      # the view's __del__ may have entered once more

    memories.together(body)


def call_everything(*, task: bool, stopped: bool) -> None:
    """Child: every target, after a few others."""
    for target in TARGETS:
        @settings(max_examples=8, deadline=None, database=None)
        @given(st.lists(any_call, max_size=4), calls(target), scribbles)
        def check(before: list[Call], last: Call, marks: list[tuple[int, int]]) -> None:
            plan = [call for call in [*before, last] if stopped or is_tame(call)]
            print(plan, marks if stopped else "", flush=True)   # what a crash leaves behind
            carry_out(World(), plan, marks if stopped else None, task=task)

        check()


def call_everything_as(task: bool, stopped: bool) -> None:
    call_everything(task=task, stopped=stopped)


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("task", [False, True], ids=["no task", "task"])
def test_anything_goes_anywhere(task: bool, stopped: bool) -> None:
    """A typed error or a result: no crash, no hang, nothing else raised."""
    child.run(call_everything_as, task, stopped)


def test_nothing_is_left_out() -> None:
    """What the stub lists is called above, and it lists all that the module has."""
    methods = {f"{name}.{method}" for name, kind in CLASSES.items() for method in vars(kind)
               if not method.startswith("_")}
    functions = {name for name in dir(native._hardware) if callable(getattr(native, name, None))}
    assert {target.name for target in TARGETS} == functions | methods


def test_the_stub_has_every_constant() -> None:
    """And no other."""
    listed = {node.target.id for node in ast.parse(STUB.read_text()).body
              if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    assert listed == {name for name in native.__all__
                      if isinstance(getattr(native, name), int | dict)}


def leave_while_an_argument_is_read() -> None:
    """Child: every target, with nothing but arguments that make the thread no task."""
    for target in TARGETS:
        world = World()
        memories.header(world.memory, "gate").store(native.GATE_TRACE)
        call = Call(target.name, (Thing("leaves"),) * target.arity)
        if target.arity and target.name != "Word.wait_while":
            memories.in_task(world.memory, partial(world.do, call))


def test_an_argument_may_leave() -> None:
    """Nothing goes on as the task that the thread no longer is."""
    child.run(leave_while_an_argument_is_read)


def run_on_no_cpu(cpu: int) -> None:
    """Child: a task finds itself on a CPU that the memory does not have."""
    for target in TARGETS:
        world = World()
        marks = [(memories.task_offset(world.memory, 0, "cpu"), cpu),
                 (memories.cpu_offset(world.memory, 0, "idle"), cpu)]
        call = Call(target.name, (world.word.offset,) * target.arity)
        carry_out(world, [call], marks, task=True)


@pytest.mark.parametrize("cpu", [2, 1 << 45, -1])
def test_a_cpu_that_is_none(cpu: int) -> None:
    """A number out of the memory leads nobody out of the memory."""
    child.run(run_on_no_cpu, cpu)


def wait_in_every_way() -> None:
    """Child: each wait, begun by a task while the machine stops."""
    for name in [*WAITS, "schedule, offline", "schedule, to another"]:
        world = World()
        memories.cpu_word(world.memory, 0, "idle").store(name != "idle")    # swapper: another task
        memories.header(world.memory, "online_mask").store(name != "schedule, offline")
        memories.together(memories.as_task(world.memory, partial(wait_for_ever, world, name)),
                          partial(memories.stop, world.memory))


def queue(world: World, slot: int) -> None:
    """As a fair task of CPU 0."""
    memories.task_word(world.memory, slot, "sched_class").store(native.CLASS_FAIR)
    assert native.RunQueue(world.memory, 0).activate(slot) == 0


def wait_for_ever(world: World, name: str) -> None:
    """What it calls has no reason to end but one."""
    word = native.Word(world.memory, world.word.offset)
    with pytest.raises(MachineStopped):
        match name:
            case "Word.wait_while":
                word.wait_while(0, 2)
            case "schedule_once":
                native.preempt_disable()
                native.schedule_once()
            case "schedule, to another":
                queue(world, 2)
                native.schedule(True)
            case "wait_for_completion":
                queue(world, 0)         # only a queued task can go to sleep
                native.wait_for_completion(world.things["block"])
            case "schedule" | "schedule, offline":
                native.schedule(True)
            case _:
                getattr(native, name)()


def test_no_wait_outlasts_the_machine() -> None:
    """Every wait ends by MachineStopped."""
    child.run(wait_in_every_way)


def leave_while_due(vector: str) -> None:
    """Child: the vector that takes an interrupt or a reschedule makes the thread no task."""
    world = World()
    word = memories.cpu_word(world.memory, 0, vector)

    def leave() -> None:
        word.store(0)
        native.leave()

    def body() -> None:
        native.set_vectors(leave, leave)
        for due in (native.cpu_relax, native.preempt_enable, lambda: world.word.wait_while(0),
                    lambda: native.local_irq_restore(0)):
            memories.task_word(world.memory, 0, "tid").store(0)
            native.enter(world.memory, 0, None)
            native.preempt_disable()
            if due != native.preempt_enable:
                native.preempt_enable()
            word.store(1)
            with pytest.raises(UsageError):
                due()

    memories.together(body)


@pytest.mark.parametrize("vector", ["ipi", "need_resched"])
def test_a_vector_may_leave(vector: str) -> None:
    """A call that took the vector finds that its thread is not a task any more, and raises NoTask."""
    child.run(leave_while_due, vector)


def stay_pending() -> None:
    """Child: a kernel that has not set its vectors yet."""
    world = World()

    def body() -> None:
        memories.cpu_word(world.memory, 0, "need_resched").store(1)
        native.cpu_relax()
        native.preempt_disable()
        native.preempt_enable()
        assert native.need_resched()

    memories.in_task(world.memory, body)


def test_without_vectors_nothing_is_taken() -> None:
    """It stays due, and nobody waits for it to go."""
    child.run(stay_pending)


def pin_and_look() -> None:
    """Child: in a thread, so that the rest of it stays where it was."""
    cores = os.sched_getaffinity(0)

    def body() -> None:
        for core in cores:
            native.pin(0, core)
            assert native.getcpu() == core
            assert os.sched_getaffinity(0) == {core}
        for tid, core in ((-1, 0), (0, -1), (0, 1 << 16), (1 << 31, 0), (1 << 40, 0)):
            with pytest.raises(UsageError):
                native.pin(tid, core)
        with pytest.raises(OSError, match="Invalid argument"):
            native.pin(0, (1 << 16) - 1)

    memories.together(body)
    assert os.sched_getaffinity(0) == cores


def test_pin() -> None:
    """One thread goes to one core, and only that thread."""
    child.run(pin_and_look)


def test_a_view_may_be_anything() -> None:
    """current() hands out what enter() was given, and drops it with the task."""
    world, view = World(), ["anything"]

    def body() -> None:
        native.enter(world.memory, 0, view)
        assert native.current() is view
        native.leave()
        with suppress(UsageError):
            native.current()
            pytest.fail("a thread that left is no task")

    memories.together(body)
