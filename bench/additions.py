"""Three threads with three additions each, under frontrun: schedules held, and the seconds they took.

    frontrun python -m bench.additions N  >  two numbers

frontrun (PyPI) is an optional peer: a controlled scheduler for threads of one Python process.  Its
own command starts the process, since it patches what Python imports.
"""

from __future__ import annotations

import sys
import time

THREADS, ADDITIONS = 3, 3


class Counter:
    """What the threads add to, not atomically."""

    def __init__(self) -> None:
        self.value = 0

    def add(self) -> None:
        for _ in range(ADDITIONS):
            self.value += 1


def main(schedules: str) -> None:
    """Hold so many schedules that are drawn at random; none is judged."""
    import frontrun

    began = time.perf_counter()
    result = frontrun.explore(setup=Counter, workers=Counter.add, count=THREADS, strategy="random",
                              invariant=lambda counter: True, max_attempts=int(schedules), seed=1)
    print(result.num_explored, time.perf_counter() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
