"""Only the C extension; everything else is in setup.cfg.

`make` sets KEMU_DEVELOP=1: then a warning of the compiler is an error, and the extension
keeps its symbols for a debugger.  A user's install does not fail for the warning of a
compiler that we have not seen, and a wheel carries no symbols.
"""

import os
import platform
from glob import glob

from setuptools import Extension, setup

# initial-exec reaches a thread's own words without a call.  musl refuses to load such a library late.
TLS_MODEL = "initial-exec" if platform.libc_ver()[0] == "glibc" else "local-dynamic"
DEVELOP = os.environ.get("KEMU_DEVELOP") == "1"

setup(ext_modules=[Extension(
    "kemu.native._hardware",
    sorted(glob("kemu/native/*/*.c") + glob("kemu/kernel/*/*.c")),
    depends=sorted(glob("kemu/native/*/*.h") + glob("kemu/kernel/*/*.h")),
    include_dirs=["kemu/native", "kemu/kernel"],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-pthread",
                        # Only PyInit__hardware is for others (Python.h exports it by name).
                        "-fvisibility=hidden",
                        f"-ftls-model={TLS_MODEL}",
                        *(["-Werror"] if DEVELOP else [])],
    extra_link_args=[] if DEVELOP else ["-Wl,-s"],
)])
