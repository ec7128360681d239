"""A script without a __main__ guard: what it defines runs on the CPUs."""

from kemu import Machine

FACTOR = 7


def times(n):
    return FACTOR * n


with Machine(2) as m:
    print(m.run(times, 6, cpu=1))
