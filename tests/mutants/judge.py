"""A fork server for tests: a plugin of pytest that collects once, and runs many times.

pytest collects the tests and imports what they need.  Each order then costs a fork.  The fork puts
the mutant in place, runs the tests that the order names until one fails, and ends.  Its helper and
its CPUs end with it.

    client -> server    {"mutant": MUTANT or null, "tests": [[ID, SECONDS], ...]}
    server -> client    {"collected": [ID, ...]}, once
    fork -> client      {"begun": ID};  {"over": ID, "failed", "seconds", "reached"};
                        {"calls": N}, after the last test
    server -> client    {"pid": PID} before the fork's first message;  {"status": N} after its last

Messages are JSON, one to a line, on the socket whose number is in the environment.  The server
waits for the fork, so only one of them writes.  pytest-timeout ends a fork whose test takes longer
than its SECONDS.

Locks: none.  Callers: client, by the option -p of pytest.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from typing import Any, NoReturn

import pytest

from kemu import native
from tests.mutants import reached
from tests.mutants.draw import Mutant
from tests.mutants.swap import put_in_place

LINK = "KEMU_JUDGE"


class Server:
    """The server, and in the fork what the fork needs."""

    def __init__(self, session: pytest.Session, link: socket.socket) -> None:
        self.link = link
        self.items = {item.nodeid: item for item in session.items}
        self.failed = False

    def say(self, **message: Any) -> None:
        self.link.sendall(json.dumps(message).encode() + b"\n")

    def serve(self) -> None:
        """Serve until the client is gone."""
        self.say(collected=list(self.items))
        with self.link.makefile() as orders:
            for order in orders:
                pid = os.fork()
                if not pid:
                    self.become_judge(json.loads(order))
                _, status = os.waitpid(pid, 0)
                self.say(status=os.waitstatus_to_exitcode(status))

    def become_judge(self, order: dict[str, Any]) -> NoReturn:
        """In the fork: carry out the order, and end."""
        status = 1
        try:
            os.setsid()
            native.die_with_parent()
            os.environ[reached.FORK] = str(os.getpid())
            self.say(pid=os.getpid())
            calls: list[int] = []
            take_out = put_in_place(Mutant(**order["mutant"]), calls.append) if order["mutant"] else None
            self.run(order["tests"])
            if take_out:
                take_out()
            self.say(calls=sum(calls))
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)

    def run(self, tests: list[tuple[str, float]]) -> None:
        """Run tests until one fails."""
        items = [self.items[test] for test, _ in tests]
        for (test, seconds), following in zip(tests, [*items[1:], None], strict=True):
            item = self.items[test]
            item.add_marker(pytest.mark.timeout(seconds), append=False)
            reached.clear()
            self.say(begun=test)
            began = time.monotonic()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self.say(over=test, failed=self.failed, seconds=time.monotonic() - began,
                     reached=reached.reached())
            if self.failed:
                return

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A failure of the set-up or of the tear-down counts too."""
        self.failed = self.failed or report.failed


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> NoReturn:
    """Serve, in the place of running everything once."""
    server = Server(session, socket.socket(fileno=int(os.environ[LINK])))
    session.config.pluginmanager.register(server)
    native.die_with_parent()
    server.serve()
    os._exit(0)             # pytest's own ending has nothing to tell
