"""What host a measurement was taken on: a figure means nothing without it.

Read from /proc/cpuinfo and os.uname(); the load from /proc/loadavg.

Locks: none.  Callers: harness, cli; bench.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import kemu
from kemu.machine.placement import usable_cores

CPUINFO = Path("/proc/cpuinfo")
MODEL_FIELDS = ("model name", "Model", "CPU implementer")      # x86, some ARM boards, other ARM


def cpu_model(cpuinfo: Path = CPUINFO) -> str:
    """What /proc/cpuinfo calls the host's CPU; the architecture where it names none."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    for wanted in MODEL_FIELDS:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == wanted:
                return value.strip()
    return platform.machine()


def describe() -> dict[str, Any]:
    """The versions, the CPU, the cores this process may use, and the load average."""
    return {"kemu": kemu.__version__, "python": platform.python_version(),
            "kernel": f"{platform.system()} {platform.release()}", "machine": platform.machine(),
            "cpu_model": cpu_model(), "host_cores": os.cpu_count(), "usable_cores": usable_cores(),
            "load_average": list(os.getloadavg())}


def headline(host: dict[str, Any]) -> str:
    """The host in a line."""
    return (f"{host['cpu_model']}, {len(host['usable_cores'])} of {host['host_cores']} cores usable, "
            f"{host['kernel']}, Python {host['python']}, load {host['load_average'][0]:.1f}")
