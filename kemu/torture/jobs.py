"""Torture of several machines side by side, each in a thread of the controller; one sum.

A machine's tasks run in its CPU processes, so the controller's threads only wait.  The
first machine that fails stops the others.  Machines get host cores of their own as long as
there are enough (machine.placement).

    Jobs.results    <- one for each machine: set by its thread, read after it was joined
    Jobs.stop       <- set by a thread whose machine failed, or by Ctrl-C

Locks: none.  Callers: the command line.
"""

from __future__ import annotations

import dataclasses
import threading
import time
import traceback
from collections.abc import Callable, Sequence

from kemu.errors import KemuError, text_of
from kemu.machine.machine import Machine
from kemu.machine.override import Override
from kemu.machine.placement import Layout, share
from kemu.torture.run import Plan, Result, Run

LOOK_SECONDS = 0.2

Progress = Callable[[Result], None]


def merge(results: Sequence[Result]) -> Result:
    """The sum of what several machines did; the report and the trace are the first failure's."""
    whole = Result()
    for one in results:
        whole.stats.add(one.stats)
        for name, rounds in one.rounds.items():
            whole.rounds[name] = whole.rounds.get(name, 0) + rounds
        whole.audits += one.audits
        whole.seconds = max(whole.seconds, one.seconds)
        whole.failures += one.failures
        whole.report = whole.report or one.report
        whole.trace = whole.trace or one.trace
        whole.interrupted |= one.interrupted
    return whole


class Jobs:
    """So many machines under the same plan, each with a seed of its own."""

    def __init__(self, plan: Plan, jobs: int, overrides: Sequence[Override] = (),
                 console: Callable[[str], None] = lambda line: None) -> None:
        plan.workloads()            # raises here if the plan is wrong
        self.plan = plan
        self.overrides = overrides
        self.console = console
        self.layout: Layout = Layout.of(plan.cpus, share(jobs, plan.cpus))
        self.results: list[Result] = [Result() for _ in range(jobs)]
        self.errors: list[KemuError] = []
        self.stop: threading.Event = threading.Event()

    def go(self, progress: Progress = lambda result: None) -> Result:
        """Run them all; the sum.  Raises what kept a machine from running."""
        threads = [threading.Thread(target=self._one, args=(number,), name=f"kemu-torture-{number}",
                                    daemon=True) for number in range(len(self.results))]
        interrupted = False
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            try:
                time.sleep(LOOK_SECONDS)
                progress(merge(self.results))
            except KeyboardInterrupt:
                interrupted = True
                self.stop.set()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
        whole = merge(self.results)
        whole.interrupted |= interrupted
        return whole

    def _one(self, number: int) -> None:
        plan = dataclasses.replace(self.plan, seed=self.plan.seed + number)

        def tell(result: Result) -> None:
            self.results[number] = result

        try:
            with Machine(plan.cpus, placement=self.layout, trace=True, kernel=plan.kernel,
                         console=self.console, overrides=self.overrides) as machine:
                run = Run(machine, plan, tell, self.stop.is_set)
                self.results[number] = run.go()
                machine.note_failure_reported()
        except KemuError as error:
            self.errors.append(error)
        except Exception as error:      # of a workload, of an invariant, or of the kernel under them
            self.results[number].fail(f"a task raised {type(error).__name__}: {text_of(error)}",
                                      "".join(traceback.format_exception(error)))
        finally:
            if self.errors or self.results[number].failures:
                self.stop.set()
