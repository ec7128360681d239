"""The oracle of torture: each wrong subject must fail the run, and a right one must not."""

from __future__ import annotations


import pytest

from kemu.errors import KernelPanic, UsageError
from kemu.kernel import kthread, sched
from kemu.kernel.sched.completion import Completion
from kemu.memory.struct import PerCPU, Word
from kemu.torture import invariant, run, workload
from kemu.torture.run import Plan, Result, Run
from kemu.torture.worker import invariants_in, workloads_in
from kemu.torture.workloads import WORKLOADS, default_mix


class Mine(PerCPU, keep=True):
    broken = Word()


@workload
def counts(t):
    """Does nothing but count."""
    while t.going():
        sched.cond_resched()
        t.did()


@workload
def leaks_blocks(t):
    """Forgets a completion in each round."""
    while t.going():
        Completion.alloc()
        sched.schedule_timeout_uninterruptible(1)
        t.did()


@workload
def leaks_threads(t):
    """Forgets a kernel thread in each round, up to a few."""
    for _ in range(20):
        if not t.going():
            return
        kthread.kthread_create(idles, None, "forgotten")
        t.did()
    while t.going():
        sched.schedule_timeout_uninterruptible(1)
        t.did()


def idles(data):
    return 0


@workload
def stands_still(t):
    """Does one round, and never another."""
    t.did()
    while t.going():
        sched.schedule_timeout_uninterruptible(5)


@workload
def returns(t):
    """A workload that ends before it is asked to."""
    t.did()


@workload
def breaks_mine(t):
    """Breaks the invariant below after a while."""
    while t.going():
        Mine.on(0).broken.store(1)
        t.did()
        sched.schedule_timeout_uninterruptible(1)


@workload
def is_promised_more(t):
    """Asserts what no function promised."""
    t.did()
    assert t.worker.rounds.load() == 2, "one round is not two"


@workload
def raises(t):
    """Raises an error of its own."""
    t.did()
    raise KeyError("of the user's own")


@invariant
def mine_is_whole():
    assert not Mine.on(0).broken.load(), "mine is broken"


@invariant
def returns_something():
    return True


def tortured(machine, *functions, invariants=(), **plan):
    own = workloads_in(functions)
    defaults = {"cpus": 2, "seconds": .5, "mix": (), "onoff": False, "shuffle": 0, "stutter": 0}
    return Run(machine(2), Plan(own=tuple(own), invariants=tuple(invariants), **(defaults | plan))).go()


def test_a_right_subject_succeeds(machine):
    """Nothing fails, and its rounds are counted."""
    result = tortured(machine, counts)
    assert result.failures == []
    assert result.rounds["counts"] > 0
    assert result.audits > 0


@pytest.mark.parametrize(("function", "what"),
                         [(leaks_blocks, "blocks of the heap"), (leaks_threads, "tasks")])
def test_what_is_left_over_is_told(machine, function, what):
    """A workload that leaks fails the run at its end."""
    (failure,) = tortured(machine, function).failures[:1]
    assert "a leak" in failure
    assert what in failure


@pytest.mark.parametrize("stutter", [0, .4])
def test_a_worker_that_stands_still_is_told(machine, monkeypatch, stutter):
    """With its name, and the machine's report; also if the run pauses more often than the limit."""
    monkeypatch.setattr(run, "LIVENESS_SECONDS", 2.0)
    result = tortured(machine, stands_still, seconds=60, stutter=stutter)
    assert "no round of stands_still in 2 s" in result.failures[0]
    assert "stands_still" in result.report or "worker_main" in result.report


def test_a_broken_invariant_is_told(machine):
    """At the next audit, with what it asserts."""
    result = tortured(machine, breaks_mine, invariants=invariants_in([mine_is_whole]), seconds=30)
    assert result.failures[0].startswith("mine_is_whole: mine is broken")


def test_an_invariant_that_returns_is_a_mistake(machine):
    """It asserts, and returns nothing."""
    with pytest.raises(UsageError, match="returns_something returned True"):
        tortured(machine, counts, invariants=invariants_in([returns_something]))


def test_a_workload_that_returns_is_a_mistake(machine):
    """It would stand for load that is not there."""
    with pytest.raises(UsageError, match="returned before"):
        tortured(machine, returns)


def test_a_promise_that_is_not_kept_is_told(machine):
    """What a workload asserts is the failure, with the line and the machine's report."""
    result = tortured(machine, is_promised_more, seconds=30)
    assert result.failures[0].startswith("one round is not two")
    assert "in is_promised_more" in result.report
    assert "swapper/0" in result.report


def test_an_error_of_the_users_own_reaches_the_user(machine):
    """As itself."""
    with pytest.raises(KeyError, match="of the user's own"):
        tortured(machine, raises)


def oops():
    kthread.kthread_run(explodes, None, "explodes")


def explodes(data):
    raise RuntimeError("boom")


@workload
def kills(t):
    """Its kernel thread oopses."""
    while t.going():
        oops()
        t.did()


def test_a_panic_ends_the_run(machine):
    """It is the failure, with the kernel's report."""
    m = machine(2)
    result = Run(m, Plan(cpus=2, seconds=30, mix=(), own=tuple(workloads_in([kills])), onoff=False)).go()
    assert result.failures[0].startswith("Oops: RuntimeError left a kernel thread")
    assert "boom" in result.report
    assert result.trace is not None
    with pytest.raises(KernelPanic):
        m.run(int)


def test_shuffle_and_stutter(machine):
    """Workers are moved, and rest; the run goes on."""
    result = tortured(machine, counts, mix=("affinity", "execs"), shuffle=.1, stutter=.2, seconds=1.5)
    assert result.failures == []
    assert any(result.rounds.values())


@pytest.mark.parametrize("cpus", [1, 3])
@pytest.mark.parametrize("kernel", ["4.13", "2.6.6"])
def test_every_workload(machine, cpus, kernel):
    """Everything at once, with hotplug where there is a CPU to spare."""
    plan = Plan(cpus=cpus, seconds=1, kernel=kernel, shuffle=.3, stutter=.5)
    result = Run(machine(cpus, kernel=kernel), plan).go()
    assert result.failures == []
    assert set(result.rounds) == set(default_mix(kernel))       # each did a round in the warm-up
    assert any(result.rounds.values())


@pytest.mark.parametrize("plan", [{"mix": ("no such",)}, {"mix": (), "onoff": False},
                                  {"mix": ("stop",), "kernel": "2.6.6"}])
def test_a_plan_that_cannot_be(plan):
    """Is refused before anything runs."""
    with pytest.raises(UsageError):
        Plan(**plan).workloads()


def test_ctrl_c_keeps_what_was_counted(machine):
    """The run says that it was interrupted."""
    def interrupt(result):
        if result.audits > 2:
            raise KeyboardInterrupt

    result = Run(machine(2), Plan(cpus=2, seconds=60, mix=("park",)), interrupt).go()
    assert result.interrupted
    assert result.rounds["park"] > 0


def test_what_is_marked():
    """Only what is marked is found in a module."""
    assert [one.name for one in workloads_in([counts, mine_is_whole, idles, 7, None])] == ["counts"]
    assert invariants_in([counts, mine_is_whole, idles, 7, None]) == [mine_is_whole]
    assert all(one.what.endswith(".") for one in WORKLOADS.values())


def test_results_begin_empty():
    """A run that did nothing has shown nothing."""
    assert Result().idle
    assert not Result(rounds={"park": 1}).idle
