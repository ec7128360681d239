"""The README's race: what a user writes, outside the package (see test_user_race.py)."""

import kemu
from kemu.kernel import sched

class Reactor(kemu.PerCPU):            # shared; zeroed before each trial
    work = kemu.Word()                 # load, store, xchg, cmpxchg, set_bit, ...

race = kemu.Race("reactor-lost-wakeup", cpus=2)

def park(r):                           # fixed: announce, then look
    sched.set_current_state(sched.TASK_INTERRUPTIBLE)
    if not r.work.load():
        kemu.point("park:looked")
        sched.schedule()
    sched.set_current_state(sched.TASK_RUNNING)

@race.before(park)                     # in place in the CPU processes only
def park_as_shipped(r):
    if not r.work.load():
        kemu.point("park:looked")
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        sched.schedule()

@race.actor(cpu=1)                     # trials loop in the CPUs, not in the controller
def sleeper(t):
    with t.window():                   # a trial counts if both were in theirs together
        park(Reactor.on(1))

@race.actor(cpu=0)
def waker(t):
    with t.window():
        Reactor.on(1).work.store(1)
        sched.wake_up_process(t.task(sleeper))

@race.invariant(at="quiescence")       # every task blocked
def no_sleep_with_work(t):
    asleep = t.task(sleeper).state.load() == sched.TASK_INTERRUPTIBLE
    assert not (Reactor.on(1).work.load() and asleep)

race.force(hold=sleeper, at="park:looked", until=(waker, "done"))

def test_reactor(kemu_race):
    v = kemu_race(race, how="jitter", seconds=5)
    assert v.before.hits and v.after.clean and v.after.high < 1e-2
