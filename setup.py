"""Only the C extension; everything else is in setup.cfg."""

from glob import glob

from setuptools import Extension, setup

setup(ext_modules=[Extension(
    "kemu.native._hardware",
    sorted(glob("kemu/native/*.c")),
    depends=sorted(glob("kemu/native/*.h")),
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread",
                        # A thread's own words without a call for each; they are few.
                        "-ftls-model=initial-exec"],
)])
