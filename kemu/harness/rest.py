"""Why a machine does not come to rest: because of the script, of another task, or of the kernel.

A trial ends when nothing but the referee can run.  If it does not end, this looks who can run:

    a task is held              the script holds it, and another task polls: the script's doing
    only tasks that are not     something else runs, for example a thread that prepare left
    actors run                  running: the race's doing
    an actor runs               it polls for what never comes: a failure of the kernel

Linux: none; kemu's own.
Locks: none.  Callers: side_run, in the controller.
"""

from __future__ import annotations

from dataclasses import dataclass

from kemu import native
from kemu.harness import script
from kemu.harness.race import Race
from kemu.harness.trial import TrialWords
from kemu.kernel.sched.runqueue import IDLE
from kemu.machine.machine import Machine
from kemu.memory.views import Task, tasks_of


@dataclass(frozen=True)
class Unrest:
    """The tasks that keep a trial from its end.  ``blame`` names the cause; "" means the kernel."""

    blame: str
    tasks: str


def unrest(machine: Machine, race: Race) -> Unrest:
    """Look at a machine whose trial does not end."""
    held = _held(machine.memory, race)
    running = [task for task in tasks_of(machine.memory).used()
               if task.sched_class.load() != IDLE and (task.on_rq.load() or task.on_cpu.load())]
    actors = {actor.name for actor in race.actors}
    others = [task for task in running if task.comm not in actors
              and task.comm not in {hold.who for hold in held}]
    lines = [f"{task.comm} runs on CPU {task.cpu.load()}" for task in running
             if task.comm not in {hold.who for hold in held}]
    lines += [f"the script holds {hold}" for hold in held]
    lines += [f"{who} is {how}" for who, how in _actors(machine, race, running)]
    return Unrest(_blame(held, others, running), "\n".join(lines))


def _blame(held: list[script.Hold], others: list[Task], running: list[Task]) -> str:
    if held:
        return (f"the script holds {held[0]}, and a task that polls keeps the machine from coming "
                "to rest")
    if others and len(others) == len(running):
        names = ", ".join(sorted({task.comm for task in others}))
        return (f"{names}, which is not an actor, runs all the time: a trial ends when nothing "
                "but the referee can run, so park or stop it")
    return ""


def _held(memory: native.Memory, race: Race) -> list[script.Hold]:
    places = script.slots(memory, race.holds)
    return [hold for place, hold in zip(places, race.holds, strict=True)
            if place.state.load() == native.HOLD_HELD]


def _actors(machine: Machine, race: Race, running: list[Task]) -> list[tuple[str, str]]:
    """The state of each actor that neither runs nor is held."""
    with machine.looking():
        done = TrialWords.on(0).done.load()
    names = {task.comm for task in running}
    return [(actor.name, "done: its function has returned" if done >> index & 1 else
             "blocked in its function") for index, actor in enumerate(race.actors)
            if actor.name not in names]
