"""Mistakes in race files: none of them is judged HIT or CLEAN.

Each mistake changes one place of a race that is right, so that its verdict can only come from
the mistake.  A mistake is refused with status 64, or makes a side UNKNOWN.
"""

from __future__ import annotations

import importlib.util
import sys

import pytest

import kemu
from kemu.harness.runner import Plan, run_race
from kemu.harness.verdict import Verdict

RIGHT = '''
import kemu
from kemu.kernel import sched

class Reactor(kemu.PerCPU):
    work = kemu.Word()

race = kemu.Race("mine", cpus=2)
race.witness("given", "work came after the sleeper had looked")

def park(r):
    sched.set_current_state(sched.TASK_INTERRUPTIBLE)
    if not r.work.load():
        kemu.point("looked")
        sched.schedule()
    sched.set_current_state(sched.TASK_RUNNING)

@race.before(park)
def park_as_shipped(r):
    if not r.work.load():
        kemu.point("looked")
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        sched.schedule()

@race.prepare
def prepare(t):
    pass

@race.actor(cpu=1)
def sleeper(t):
    park(Reactor.on(1))

@race.actor(cpu=0)
def waker(t):
    Reactor.on(1).work.store(1)
    t.witness("given")
    sched.wake_up_process(t.task(sleeper))

@race.invariant()
def no_sleep_with_work(t):
    asleep = t.task(sleeper).state.load() == sched.TASK_INTERRUPTIBLE
    assert not (Reactor.on(1).work.load() and asleep), "it sleeps, with work"

@race.postcondition
def woken(t):
    assert t.done(sleeper)

race.force(hold=sleeper, at="looked", until=(waker, "done"))
'''

MISTAKES = {
    "a misspelt function in the replacement":
        ("        sched.set_current_state(sched.TASK_INTERRUPTIBLE)\n        sched.schedule",
         "        sched.set_curent_state(sched.TASK_INTERRUPTIBLE)\n        sched.schedule"),
    "a misspelt constant in the fixed function": ("TASK_RUNNING)", "TASK_RUNING)"),
    "a name that is not defined in the replacement":
        ("    if not r.work.load():\n        kemu.point(\"looked\")\n        sched.set",
         "    if not reactor.work.load():\n        kemu.point(\"looked\")\n        sched.set"),
    "a misspelt field": ("if not r.work.load():\n        kemu.point(\"looked\")\n        sched.sch",
                         "if not r.wrok.load():\n        kemu.point(\"looked\")\n        sched.sch"),
    "a misspelt method of a word": (".work.store(1)", ".work.stor(1)"),
    "a word that is set as an attribute": (".work.store(1)", ".work = 1"),
    "a misspelt method of the trial": ("t.witness(\"given\")", "t.witnes(\"given\")"),
    "a misspelt witness": ("t.witness(\"given\")", "t.witness(\"gvien\")"),
    "a witness that no code sees": ("    t.witness(\"given\")\n", ""),
    "a witness that is seen on neither side":
        ("    t.witness(\"given\")\n", "    if not t.number:\n        t.witness('given')\n"),
    "a witness without its meaning": ('"work came after the sleeper had looked"', '""'),
    "a witness declared twice":
        ("def park(r):", 'race.witness("given", "again")\n\ndef park(r):'),
    "a witness for a side that there is not":
        ('had looked")', 'had looked", sides=("befor",))'),
    "a point that no task passes": ('at="looked"', 'at="loked"'),
    "an awaited point that no task passes": ('(waker, "done")', '(waker, "doen")'),
    "a held task that there is not": ("hold=sleeper", 'hold="slepper"'),
    "an awaited task that there is not": ("until=(waker,", 'until=("wakker",'),
    "a held function that is not an actor": ("hold=sleeper", "hold=park"),
    "an awaited point without its task": ('until=(waker, "done")', 'until="done"'),
    "a kind of hold that there is not": ('"done"))', '"done"), kind="stal")'),
    "a pass that never comes": ('"done"))', '"done"), nth=7)'),
    "a pass that is not a number": ('"done"))', '"done"), nth="first")'),
    "an actor on a CPU that there is not": ("cpu=1)\ndef", "cpu=2)\ndef"),
    "an actor without a CPU": ("@race.actor(cpu=0)", "@race.actor"),
    "an actor without the trial": ("def waker(t):", "def waker():"),
    "an actor with one parameter too many": ("def waker(t):", "def waker(t, cpu):"),
    "an actor that is a generator": ("    park(Reactor.on(1))\n\n@race.actor(cpu=0)",
                                     "    yield park(Reactor.on(1))\n\n@race.actor(cpu=0)"),
    "an actor that is a coroutine": ("def waker(t):", "async def waker(t):"),
    "two actors of one name": ("def waker(t):", "def sleeper(t):"),
    "a waker that does nothing":
        ('    Reactor.on(1).work.store(1)\n    t.witness("given")\n'
         "    sched.wake_up_process(t.task(sleeper))", "    pass"),
    "a sleeper that does nothing": ("    park(Reactor.on(1))\n\n@", "    pass\n\n@"),
    "the task of a function that is not an actor": ("t.task(sleeper))\n\n", "t.task(park))\n\n"),
    "an invariant without its parentheses": ("@race.invariant()", "@race.invariant"),
    "an invariant at a time that there is not": ("@race.invariant()", '@race.invariant(at="end")'),
    "an invariant that returns what it should assert":
        ('    assert not (Reactor.on(1).work.load() and asleep), "it sleeps, with work"',
         "    return not (Reactor.on(1).work.load() and asleep)"),
    "an invariant that misspells": ("Reactor.on(1).work.load() and asleep", "Reactor.no(1)"),
    "an invariant without the trial": ("def no_sleep_with_work(t):", "def no_sleep_with_work():"),
    "a postcondition that misspells": ("assert t.done(sleeper)", "assert t.dome(sleeper)"),
    "a prepare that raises": ("def prepare(t):\n    pass", "def prepare(t):\n    {}['nothing']"),
    "a prepare that asserts": ("def prepare(t):\n    pass", "def prepare(t):\n    assert t is None"),
    "an assertion in an actor": ('    t.witness("given")', '    t.witness("given"); assert t is None'),
    "a replacement of other parameters": ("def park_as_shipped(r):", "def park_as_shipped(r, cpu):"),
    "a replacement of what is not a function": ("@race.before(park)", "@race.before(Reactor)"),
    "a replacement of a function that the race does not call":
        ("@race.before(park)", "def unused(r):\n    pass\n\n@race.before(unused)"),
    "a race without a replacement": ("@race.before(park)\n", ""),
    "a race without CPUs": ("cpus=2", "cpus=0"),
    "a placement for another number of CPUs": ("cpus=2", "cpus=2, placement=(0,)"),
    "a sleeper that is not an actor": ("def park(r):", 'race.asleep("slepper")\n\ndef park(r):'),
    "a side that is expected to do neither":
        ("def park(r):", 'race.variant("3.8", expect="clear")\n\ndef park(r):'),
}


# The mistake is in the side before the fix only: the side after it is right, and clean.
BEFORE_ONLY = {"a replacement of a function that the race does not call"}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """load(text): the race of a file with that text."""
    def race_of(text: str) -> kemu.Race:
        path = tmp_path / "mine.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("mine", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "mine", module)
        spec.loader.exec_module(module)
        return module.race

    return race_of


def test_the_race_is_right(load):
    """Without a mistake it hits before, and is clean after, with every trial witnessed."""
    outcome = run_race(load(RIGHT), Plan("forced", trials=3))
    assert (outcome.before.verdict, outcome.after.verdict) == (Verdict.HIT, Verdict.CLEAN), str(outcome)
    assert [side.seen for side in outcome.sides.values()] == [{"given": 3}] * 2


def verdicts(load, text: str) -> list[Verdict]:
    """The verdict of each side; empty if the file was refused."""
    try:
        race = load(text)
        return [side.verdict for name in race.sides
                for side in run_race(race, Plan("forced", trials=3), (name,)).sides.values()]
    except kemu.UsageError:
        return []
    except TypeError:       # Python's own refusal, when the file is loaded
        return []


def test_there_are_forty():
    """The table is as long as it promises, and each mistake changes the race."""
    assert len(MISTAKES) >= 40
    assert [what for what, (right, wrong) in MISTAKES.items()
            if RIGHT.count(right) < 1 or right == wrong] == []


@pytest.mark.parametrize("what", MISTAKES)
def test_mistake(load, what):
    """The file is refused, or no side of the race is as expected."""
    right, wrong = MISTAKES[what]
    found = verdicts(load, RIGHT.replace(right, wrong, 1))
    assert Verdict.HIT not in found
    assert what in BEFORE_ONLY or Verdict.CLEAN not in found
