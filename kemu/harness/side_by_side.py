"""Threads of the controller that drive one machine each, side by side, and end together.

A thread only waits for its machine.  The caller's thread waits for them all, because Ctrl-C and a
mistake in the race's file are its own to raise.

    stop    <- set when all are to end: by the caller, and here, after an error or Ctrl-C

Linux: none; kemu's own.
Locks: none.  Callers: side_jobs, explore/jobs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

LOOK_SECONDS = 0.1


def run_side_by_side(works: Sequence[Callable[[], object]], look: Callable[[], None],
                     stop: threading.Event) -> None:
    """Run each to its end; the only one, if there is one, in the caller's thread.

    ``look()`` is called while several run.  Each must end soon after ``stop`` is set.  Raises what
    the first one raised that raised anything.
    """
    if len(works) == 1:
        works[0]()
        return
    errors: list[BaseException] = []

    def one(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            stop.set()

    threads = [threading.Thread(target=one, args=(work,), name=f"kemu-race-{number}", daemon=True)
               for number, work in enumerate(works)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(LOOK_SECONDS)
                look()
    except BaseException:       # Ctrl-C, or what look() raised
        stop.set()
        raise
    finally:
        for thread in filter(threading.Thread.is_alive, threads):
            thread.join()
    if errors:
        raise errors[0]
