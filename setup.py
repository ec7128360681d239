"""Only the C extension; everything else is in setup.cfg.

The extension keeps to the limited API of Python 3.11, so one wheel serves 3.11 and every later
Python (abi3).  A free-threaded Python has no stable ABI: there the same source makes an extension
for that Python alone.

`make` sets KEMU_DEVELOP=1: then a warning of the compiler is an error, and the extension
keeps its symbols for a debugger.  A user's install does not fail for the warning of a
compiler that we have not seen, and a wheel carries no symbols.
"""

import os
import platform
import sysconfig
from glob import glob

from setuptools import Extension, setup

# initial-exec reaches a thread's own words without a call.  musl refuses to load such a library late.
TLS_MODEL = "initial-exec" if platform.libc_ver()[0] == "glibc" else "local-dynamic"
DEVELOP = os.environ.get("KEMU_DEVELOP") == "1"
ABI3 = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {}, ext_modules=[Extension(
    "kemu.native._hardware",
    sorted(glob("kemu/native/*/*.c") + glob("kemu/kernel/*/*.c")),
    depends=sorted(glob("kemu/native/*/*.h") + glob("kemu/kernel/*/*.h")),
    include_dirs=["kemu/native", "kemu/kernel"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if ABI3 else [],
    py_limited_api=ABI3,
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-pthread",
                        # Only PyInit__hardware is for others (Python.h exports it by name).
                        "-fvisibility=hidden",
                        f"-ftls-model={TLS_MODEL}",
                        *(["-Werror"] if DEVELOP else [])],
    extra_link_args=[] if DEVELOP else ["-Wl,-s"],
)])
