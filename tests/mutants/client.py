"""The client of a fork server (judge): it gives orders and waits for the answers.

A Bench is one server.  What a test does cannot make the client wait without end: a fork that says
nothing for longer than its test may take, and a while, is killed with its session.

Locks: none; a bench has one user.  Callers: run, survey, test_mutants.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.mutants import reached
from tests.mutants.draw import Mutant
from tests.mutants.judge import LINK
from tests.mutants.modules import ROOT

START_SECONDS = 300.0       # to collect the tests
SLACK_SECONDS = 20.0        # beyond the time of a test, for pytest-timeout to end the fork


@dataclass
class Answer:
    """What became of an order.

    ``failed`` is the test that failed; "" if none did.  ``late``: because it took too long.
    ``over`` holds what the fork said of each test that ended.
    """

    failed: str = ""
    late: bool = False
    calls: int = 0
    over: list[dict[str, Any]] = field(default_factory=list)


class Bench:
    """A fork server that has collected some files.  Close it, or use it in a ``with``.

    pytest leaves assertions as they are, because otherwise it would load kemu's modules itself, past
    the hook that records (kemu is a plugin of pytest).
    """

    def __init__(self, files: Sequence[str], recording: bool = False) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="kemu-mutants-")
        self.said = Path(self.folder.name) / "said"
        more = reached.environment(Path(self.folder.name) / "reached") if recording else {
            "PYTHONPATH": str(ROOT)}
        self.link, its_end = socket.socketpair()
        with its_end, self.said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.judge", "-p",
                 "no:cacheprovider", "--assert=plain", f"--basetemp={self.folder.name}/tmp", *files],
                cwd=ROOT, pass_fds=[its_end.fileno()], stdin=subprocess.DEVNULL, stdout=said,
                stderr=subprocess.STDOUT, start_new_session=True,
                env=os.environ | more | {LINK: str(its_end.fileno())})
        self.lines = self.link.makefile()
        self.collected: list[str] = self.hear(START_SECONDS)["collected"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the server; its fork, and what the fork started, end with it."""
        self.lines.close()
        self.link.close()
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def hear(self, seconds: float) -> dict[str, Any]:
        """The next message.  Raises TimeoutError, and RuntimeError if the server is gone."""
        self.link.settimeout(seconds)
        line = self.lines.readline()
        if not line:
            raise RuntimeError(f"the server ended: {self.said.read_text()[-2000:]}")
        message: dict[str, Any] = json.loads(line)
        return message

    def run(self, mutant: Mutant | None, tests: Sequence[tuple[str, float]]) -> Answer:
        """Run tests in this order until one fails, each with the seconds that it may take."""
        order = {"mutant": asdict(mutant) if mutant else None, "tests": tests}
        self.link.sendall(json.dumps(order).encode() + b"\n")
        limits, answer, begun = dict(tests), Answer(), ""
        pid = self.hear(SLACK_SECONDS)["pid"]
        while True:
            try:
                message = self.hear(limits.get(begun, 0) + SLACK_SECONDS)
            except TimeoutError:
                self.lines = self.link.makefile()
                os.killpg(pid, signal.SIGKILL)
                continue
            if "status" in message:
                with suppress(ProcessLookupError):      # what its tests left behind
                    os.killpg(pid, signal.SIGKILL)
                break
            answer.calls += message.get("calls", 0)
            begun = message.get("begun", begun)
            if "over" in message:
                answer.over.append(message)
                begun = ""
                if message["failed"]:
                    answer.failed = message["over"]
        if message["status"] and begun:
            answer.failed, answer.late = begun, True
        elif message["status"]:
            raise RuntimeError(f"a fork ended with {message['status']}: {self.said.read_text()[-2000:]}")
        return answer
