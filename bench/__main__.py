"""The command: `python -m bench`."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from loguru import logger

from bench import boot, execs, explore, first_hit, host, hotplug, memory, native_ops, roundtrip, search_hits
from bench import steps, stoppers
from bench.stats import Report

PARTS = {"native_ops": native_ops, "roundtrip": roundtrip, "steps": steps, "hotplug": hotplug,
         "stoppers": stoppers, "execs": execs, "boot": boot, "memory": memory,
         "first_hit": first_hit, "explore": explore, "search_hits": search_hits}
TIMED = ("first_hit", "search_hits")    # they take --seconds
INTERRUPTED = 130

HELP = """\
Measure kemu beside C and multiprocessing on this host.

  native_ops  one operation on shared memory from Python, beside multiprocessing.Value
  roundtrip   unpark, run, acknowledge, park between two CPUs on two cores, beside a C
              program that spins (the floor) or sleeps in futexes, multiprocessing's
              Event and Semaphore, a pipe, threading.Event; kemu with polling and without
  steps       where the time of one round trip goes, from kemu's own trace
  hotplug     a CPU taken down and brought up; threads parked and unparked, beside the same
              threads stopped and created anew
  stoppers    a work on another CPU's stopper, and the whole machine stopped, beside the
              host kernel's stopper; kemu with polling and without
  execs       tasks that exec themselves and are balanced, by number of CPUs and kernel
  boot        how long a boot of 4 CPUs takes, first and later
  memory      what one more CPU costs, as PSS
  first_hit   how long until each race of the register hits: forced, jittered, free
  explore     schedules a second on one host core and on two, beside frontrun; what a step
              costs; exhaustive with and without the reduction
  search_hits how long until pct hits each race of the register
"""
EPILOG = """\
How to read it:
  Contenders take turns in rounds, so that a busy minute of the host hits them all.  p50
  and ratios are what to compare; p99 and max tell as much about the host as about kemu.
  "rounds" is how far a goal's figure swung.  "met" and "short" judge the median only: no
  figure fails the run.  Watch what other programs use: they take the cores away, which
  shows in p99; but they also keep cores from falling asleep, so that what sleeps wakes
  sooner, and what polls looks worse beside it.

examples:
  python -m bench --quick                  all of it, in about 20 s
  python -m bench --only roundtrip         one part
  python -m bench --json before.json       figures to keep, and compare later
  python -m bench --only first_hit --seconds 30
                                           the slow ones hit, too

exit status: 0 measured, 1 a part broke, 64 misuse, 130 Ctrl-C
"""


class Parser(argparse.ArgumentParser):
    """Misuse is 64, as everywhere in kemu."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = Parser(prog="python -m bench", description=HELP, epilog=EPILOG,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there, too")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a glance, not a figure")
    parser.add_argument("--only", metavar="NAME", action="append", choices=list(PARTS),
                        help="one part: " + ", ".join(PARTS) + "; may be given again")
    parser.add_argument("--seconds", metavar="S", type=float,
                        help="first_hit: how long to try a race, instead of 1.5; search_hits: instead of 10")
    return parser.parse_args()


def run(report: Report, names: list[str], quick: bool, seconds: float | None) -> None:
    """Every part, one after the other; one that breaks does not stop the others."""
    for name in names:
        report.say(f"{PARTS[name].TITLE}  [{name}]\n")
        try:
            if name in TIMED:
                PARTS[name].run(report, quick, seconds)
            else:
                PARTS[name].run(report, quick)
        except Exception as error:
            report.errors[name] = repr(error)
            report.say("".join(traceback.format_exception(error)))


def main() -> int:
    """Parse, measure, print, write; what was measured before Ctrl-C is kept."""
    args = parse()
    logger.disable("kemu")
    report, began, interrupted = Report(), time.monotonic(), False
    at: dict[str, Any] = {}
    try:
        at |= host.describe()
        report.say(host.headline(at) + "\n")
        run(report, args.only or list(PARTS), args.quick, args.seconds)
        at["busy_percent_after"] = host.busy_percent()
        report.say(f"{time.monotonic() - began:.0f} s; others now use "
                   f"{at['busy_percent_after']:.0f} % of the cores")
    except KeyboardInterrupt:
        interrupted = True
        report.say("\ninterrupted")
    if args.json:
        args.json.write_text(json.dumps(report.as_json(
            host=at, seconds=time.monotonic() - began, quick=args.quick, interrupted=interrupted),
            indent=1) + "\n")
    return INTERRUPTED if interrupted else 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
