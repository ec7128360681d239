"""What a test may leave behind: only the helper and its listener.

A snapshot names what the test process holds: its child processes, threads, open
files, mapped memfds, and what lies in /dev/shm.  Processes are reaped a moment
after they die, so the check polls until the difference is gone, and no longer
than PATIENCE.
"""

from __future__ import annotations

import gc
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from kemu.machine import helper_link

PATIENCE = 10.0     # seconds, for what dies asynchronously
OWN_THREADS = re.compile(r"kemu-helper|pytest[_-]timeout.*")


def processes() -> Iterator[str]:
    """The children of this process and of the helper; not the helper itself."""
    helper = helper_link._helper
    for child in psutil.Process().children(recursive=True):
        if not (helper and child.pid == helper.process.pid):
            yield f"process {child.pid}"


def threads() -> Iterator[str]:
    """The threads of this process, by name."""
    for thread in threading.enumerate():
        if not OWN_THREADS.fullmatch(thread.name):
            yield f"thread {thread.name}"
    listeners = [t for t in threading.enumerate() if t.name == "kemu-helper"]
    for _ in listeners[1:]:
        yield "thread kemu-helper (a second one)"


def files() -> Iterator[str]:
    """The open file descriptors of this process, by what they are; not the helper's socket."""
    helper = helper_link._helper
    for fd in os.listdir("/proc/self/fd"):
        if helper and int(fd) == helper.link.fileno():
            continue
        with suppress(FileNotFoundError):       # the listing's own
            yield f"file {os.readlink(f'/proc/self/fd/{fd}')}"


def helpers_files() -> Iterator[str]:
    """How many files the helper holds; a machine that is gone leaves none there."""
    helper = helper_link._helper
    if helper and helper.alive():
        for fd in os.listdir(f"/proc/{helper.process.pid}/fd"):
            yield f"file {fd} of helper {helper.process.pid}"


def mappings() -> Iterator[str]:
    """The memfds mapped into this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "/memfd:" in line:
            yield f"mapping {line.split(maxsplit=5)[5]} at {line.split('-')[0]}"


def shared_memory() -> Iterator[str]:
    """What lies in /dev/shm."""
    for name in os.listdir("/dev/shm"):
        yield f"/dev/shm/{name}"


def snapshot() -> Counter[str]:
    """All that could leak, counted."""
    return Counter([*processes(), *threads(), *files(), *mappings(), *shared_memory()])


def helper_snapshot() -> Counter[str]:
    return Counter(helpers_files())


def leaked_since(before: Counter[str], helper_before: Counter[str]) -> Counter[str]:
    """What there is more than before, once it has had time to go."""
    until = time.monotonic() + PATIENCE
    while True:
        more = snapshot() - before
        if helper_before:       # otherwise the test started the helper
            more += Counter({what: nr for what, nr in (helper_snapshot() - helper_before).items()
                             if what.split()[-1] == next(iter(helper_before)).split()[-1]})
        if not more or time.monotonic() > until:
            return more
        gc.collect()            # a machine sits in reference cycles with its threads
        time.sleep(0.01)
