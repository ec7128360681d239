"""One machine under torture: workers, hotplug, shuffle and stutter, and the oracle.

Linux: kernel/torture.c (torture_onoff, torture_shuffle, torture_stutter, torture_stats).

The controller runs batches.  In each one a task takes CPUs down and up, or the controller
waits; after each one the oracle looks.  A run fails, and ends, when

    the kernel panics        BUG, WARN, oops, hang: the machine stopped by itself
    an audit finds something the scheduler's and hotplug's invariants, and the user's own
    a promise is not kept    a workload's function asserts something, and it does not hold
    a task raises            a workload's function ended with another exception (jobs reports it)
    a worker stands still    no round in LIVENESS_SECONDS, though the run does not stutter
    something is left over   at rest, more tasks or more blocks of the heap than before

For the last one the workers run for a moment, stop, and what there is then is counted; the
same is done at the end.  So what the kernel allocates once and keeps is not a leak.

Locks: none; everything happens in the caller's thread.  Callers: jobs; the command line.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kemu.errors import KernelPanic, TaskTimeout, UsageError
from kemu.kernel.cpu_stop import KEPT_BLOCKS
from kemu.kernel.locking.lockdep import track_locks
from kemu.kernel.own.quiesce import wait_until_quiet
from kemu.kernel.own.system import system
from kemu.kernel.own.version import DEFAULT
from kemu.kernel.sched.migration import set_cpus_allowed_ptr
from kemu.machine.handle import Handle
from kemu.machine.jitter import arm_jitter
from kemu.machine.machine import Machine
from kemu.memory.views import Task
from kemu.torture.liveness import Liveness
from kemu.torture.onoff import Stats, bring_all_up, torture_onoff
from kemu.torture.worker import Control, Worker, Workload, check_invariants, worker_main
from kemu.torture.workloads import WORKLOADS, default_mix
from kemu.trace.reader import Trace

BATCH_SECONDS = 0.5
LIVENESS_SECONDS = 60.0
STUTTER_ON = 2.0                # of the stutter's period the workers run for so many parts, then rest for one


@dataclass(frozen=True)
class Plan:
    """What to do to a machine, and for how long."""

    cpus: int = 4
    seconds: float = 10.0
    cycles: int | None = None               # instead: until so many hotplug cycles are done
    mix: tuple[str, ...] | None = None      # names of workloads; None: the kernel's default
    own: tuple[Workload, ...] = ()          # the user's
    invariants: tuple[Callable[[], Any], ...] = ()
    onoff: bool = True                      # take CPUs down and up
    onoff_interval: int = 0                 # milliseconds between two changes
    shuffle: float = 3.0                    # seconds between two shuffles; 0: never
    stutter: float = 5.0                    # seconds of work between two pauses; 0: never
    jitter: bool = False
    grain: str = "points"
    kernel: str = DEFAULT
    seed: int = 1

    def workloads(self) -> list[Workload]:
        """What the workers do, one after the other.  Raises UsageError."""
        names = default_mix(self.kernel) if self.mix is None else self.mix
        unknown = [name for name in names if name not in WORKLOADS]
        if unknown:
            raise UsageError(f"no workload is named {unknown[0]!r}; there are {', '.join(WORKLOADS)}")
        chosen = [WORKLOADS[name] for name in names] + list(self.own)
        for one in chosen:
            if self.kernel not in one.kernels:
                raise UsageError(f"the workload {one.name} needs kernel {' or '.join(one.kernels)}, not "
                                 f"{self.kernel}")
        if not chosen and not self.onoff:
            raise UsageError("there is nothing to do: no workload and no hotplug")
        return chosen


@dataclass
class Result:
    """What a run did, and how it ended."""

    stats: Stats = field(default_factory=Stats)
    rounds: dict[str, int] = field(default_factory=dict)    # how many rounds each workload made
    audits: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    report: str = ""                        # of the machine, if it failed
    trace: Trace | None = field(default=None, repr=False)
    interrupted: bool = False

    @property
    def idle(self) -> bool:
        """Whether nothing at all was done: then the run shows nothing."""
        return not self.stats.cycles and not any(self.rounds.values())

    def fail(self, what: str, report: str = "") -> None:
        self.failures.append(what)
        self.report = self.report or report


Progress = Callable[[Result], None]


class Run:
    """A machine under torture.  Use: Run(machine, plan).go()."""

    def __init__(self, machine: Machine, plan: Plan, progress: Progress = lambda result: None,
                 stopping: Callable[[], bool] = lambda: False) -> None:
        self.machine = machine
        self.plan = plan
        self.progress = progress
        self.stopping = stopping
        self.workloads: list[Workload] = plan.workloads()
        self.finished: dict[str, int] = dict.fromkeys((one.name for one in self.workloads), 0)
        self.result: Result = Result()
        self.workers: list[tuple[Workload, Worker, Handle[Any]]] = []
        self.liveness: Liveness = Liveness(len(self.workloads), time.monotonic())
        self.batch: int = plan.seed
        self.began: float = time.monotonic()
        self.shuffled: float = self.began

    def go(self) -> Result:
        """Torture the machine until the plan is done, it fails, or Ctrl-C."""
        try:
            track_locks(self.machine.memory)
            if self.plan.jitter:
                arm_jitter(self.machine.memory, self.plan.seed, self.plan.grain)
            self._work(self._is_cold)
            before = self._at_rest()
            self._forget_the_warm_up()
            self._work(self._is_going)
            self._look_for_leaks(before, self._at_rest())
        except KernelPanic as panic:
            self.result.fail(panic.text, panic.report)
        except AssertionError as broken:        # of a workload: a promise that was not kept
            self.result.fail(str(broken) or "an assertion of a workload failed",
                             "".join(traceback.format_exception(broken)) + "\n"
                             + self.machine.report(stacks=True))
        except TaskTimeout as late:
            self.result.fail(f"a task stands still: {late}", self.machine.report(stacks=True))
        except KeyboardInterrupt:
            self.result.interrupted = True
        finally:
            self.result.seconds = time.monotonic() - self.began
        if self.result.failures:
            self.result.trace = self.machine.trace()
            self.result.report = self.result.report or self.machine.report(stacks=True)
        return self.result

    # -- the phases ----------------------------------------------------------------

    def _is_cold(self) -> bool:
        """Whether a worker, or hotplug, has not done a round yet."""
        if time.monotonic() - self.began > LIVENESS_SECONDS:
            return False
        return not all(self.liveness.rounds) or not self.result.audits

    def _is_going(self) -> bool:
        if self.plan.cycles is not None:
            return self.result.stats.cycles < self.plan.cycles
        return time.monotonic() - self.began < self.plan.seconds

    def _forget_the_warm_up(self) -> None:
        """What was done before the count of tasks and blocks is not part of the run."""
        if not self.result.failures:
            self.result.stats = Stats()
            self.finished = dict.fromkeys(self.finished, 0)
            self.result.rounds = dict(self.finished)
        self.began = time.monotonic()

    def _work(self, going: Callable[[], bool]) -> None:
        """Batches, as long as that says so and nothing fails; then the workers end."""
        self._start_workers()
        while going() and not self.result.failures and not self.stopping():
            self._one_batch()
            self._judge()
            self.progress(self.result)
        if not self.result.failures:
            self._stop_workers()

    def _start_workers(self) -> None:
        self._control("stop", 0)
        self.liveness = Liveness(len(self.workloads), time.monotonic())
        for number, one in enumerate(self.workloads):
            with self.machine.looking():
                worker = Worker.alloc()
            handle = self.machine.start(worker_main, one.function, worker, self.plan.seed + number,
                                        cpu=number % self.plan.cpus)
            self.workers.append((one, worker, handle))

    def _stop_workers(self) -> None:
        self._control("paused", 0)
        self._control("stop", 1)
        self.result.failures += self._run(bring_all_up)
        for one, worker, handle in self.workers:
            handle.result(LIVENESS_SECONDS)
            self.finished[one.name] += worker.rounds.load()
            worker.free()
        self.workers.clear()
        self.result.rounds = dict(self.finished)

    def _one_batch(self) -> None:
        elapsed = time.monotonic() - self.began
        if self.plan.stutter:
            period = self.plan.stutter * (1 + 1 / STUTTER_ON)
            self._control("paused", int(elapsed % period >= self.plan.stutter))
        if self.plan.shuffle and time.monotonic() - self.shuffled >= self.plan.shuffle:
            self.shuffled = time.monotonic()
            self._run(shuffle_tasks, [worker for _, worker, _ in self.workers], self.batch)
        seconds = BATCH_SECONDS
        if self.plan.cycles is None:
            seconds = max(.01, min(BATCH_SECONDS, self.plan.seconds - elapsed))
        self.batch += 1
        if self.plan.onoff and self.plan.cpus > 1:
            self.result.stats.add(self._run(torture_onoff, self.batch, seconds, self.plan.onoff_interval))
        else:
            self._wait(seconds)

    def _wait(self, seconds: float) -> None:
        """Let the workers run, and do nothing meanwhile."""
        for _, _, handle in self.workers[:1]:
            handle.wait(seconds)

    # -- the oracle ------------------------------------------------------------------

    def _judge(self) -> None:
        self.result.failures += self.result.stats.failures
        self.machine.audit()
        self.result.failures += self._run(check_invariants, list(self.plan.invariants))
        self.result.audits += 1
        for _, _, handle in self.workers:
            if handle.done():
                handle.result()     # it raises what ended the worker too early
                raise UsageError("a workload's function returned before t.going() was false")
        self._look_for_life()

    def _look_for_life(self) -> None:
        rounds = [worker.rounds.load() for _, worker, _ in self.workers]
        self.result.rounds = dict(self.finished)
        for one, new in zip(self.workloads, rounds, strict=True):
            self.result.rounds[one.name] += new
        self.liveness.look(time.monotonic(), rounds, bool(self._load("paused")))
        lost = self.liveness.lost(LIVENESS_SECONDS)
        if lost:
            names = ", ".join(self.workloads[number].name for number in lost)
            self.result.fail(f"no round of {names} in {LIVENESS_SECONDS:.0f} s",
                             self.machine.report(stacks=True))

    def _at_rest(self) -> tuple[int, int]:
        """How many tasks and blocks of the heap there are when nothing runs."""
        if self.result.failures:
            return 0, 0
        counts: tuple[int, int] = self._run(count_what_is_there)
        return counts

    def _look_for_leaks(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        kept = KEPT_BLOCKS * self.plan.cpus         # a process may have stopped a CPU only since then
        for what, old, new, more in (("tasks", before[0], after[0], 0),
                                     ("blocks of the heap", before[1], after[1], kept)):
            if new > old + more:
                self.result.fail(f"a leak: {new} {what} at rest, where there were {old}",
                                 self.machine.report())

    # -- help ------------------------------------------------------------------------

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return self.machine.run(function, *args, cpu=self.machine.online()[0],
                                timeout=LIVENESS_SECONDS + BATCH_SECONDS)

    def _control(self, word: str, value: int) -> None:
        with self.machine.looking():
            getattr(Control.on(0), word).store(value)

    def _load(self, word: str) -> int:
        with self.machine.looking():
            value: int = getattr(Control.on(0), word).load()
        return value


def shuffle_tasks(workers: list[Worker], seed: int) -> None:
    """Keep every worker off one CPU, another each time (torture_shuffle_tasks).  A task; it sleeps."""
    nr = system.nr_cpus
    everywhere = (1 << nr) - 1
    mask = everywhere & ~(1 << seed % nr) or everywhere
    for worker in workers:
        task: Task | None = worker.task.get()
        if task is not None and task.alive():
            set_cpus_allowed_ptr(task, mask)    # one that may run nowhere now keeps its mask


def count_what_is_there() -> tuple[int, int]:
    """How many tasks and blocks of the heap are in use.  A task; it sleeps until all is quiet."""
    wait_until_quiet()
    return len(system.tasks.used()), int(system.header.heap_blocks.load())
