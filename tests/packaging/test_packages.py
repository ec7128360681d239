"""The sdist and the wheel: what they hold, and that the wheel's extension stands alone.

All of it is built once, from a copy of this tree, as a packager builds it: the wheel out
of the sdist, without ``make``.  The copy holds one C file that the compiler warns about.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import pytest

TREE = Path(__file__).parents[2]
# What a build or a test run leaves in a tree; names that begin with a dot are not for packagers.
LEFT_BEHIND = shutil.ignore_patterns(".*", "build", "dist", "_build", "__pycache__", "*.egg-info", "*.so")
WARNING = "\nstatic int nobody_reads_me;\n"
BOOT = """
import kemu
with kemu.Machine(cpus=1) as m:
    print(kemu.__file__, m.run(abs, -3))
"""


class Packages(NamedTuple):
    """The copy of the tree, and what was built from it and unpacked; the name of the wheel's file."""

    tree: Path
    sdist: Path
    wheel: Path
    name: str


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "KEMU_DEVELOP"}
    return subprocess.run([*map(str, command)], cwd=cwd, env=plain | environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Build the sdist and, out of it, the wheel; unpack both."""
    top = tmp_path_factory.mktemp("packages")
    tree = top / "tree"
    shutil.copytree(TREE, tree, ignore=LEFT_BEHIND)
    with min((tree / "kemu").rglob("*.c")).open("a") as warned_about:
        warned_about.write(WARNING)
    built = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", top, tree, cwd=top)
    assert built.returncode == 0, built.stdout
    with tarfile.open(*top.glob("*.tar.gz")) as archive:
        archive.extractall(top, filter="data")
    file, = top.glob("*.whl")
    with ZipFile(file) as archive:
        archive.extractall(top / "wheel")
    sdist, = (path for path in top.glob("kemu-*") if path.is_dir())
    return Packages(tree, sdist, top / "wheel", file.name)


@pytest.fixture(scope="module")
def extension(packages: Packages) -> Path:
    """The wheel's one shared object."""
    found, = packages.wheel.rglob("*.so")
    return found


def test_sdist_holds_the_tree(packages):
    """A packager finds in the sdist all that builds kemu and runs its tests."""
    left_by_the_build = {name for name in files(packages.tree) if "egg-info" in name}
    assert files(packages.tree) - left_by_the_build - files(packages.sdist) == set()


def test_wheel_holds_what_runs(packages):
    """The wheel holds the modules, the types and the extension; no C, no tests."""
    held = {name for name in files(packages.wheel) if ".dist-info" not in name}
    wanted = {name for name in files(packages.tree / "kemu") if name.endswith((".py", ".pyi", "py.typed"))}
    assert {name for name in held if not name.endswith(".so")} == {f"kemu/{name}" for name in wanted}


def test_wheel_serves_every_python(packages, extension):
    """One wheel serves Python 3.11 and later; a free-threaded Python has no stable ABI yet."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("the wheel of a free-threaded Python serves that Python alone")
    assert "-cp311-abi3-" in packages.name
    assert extension.name == "_hardware.abi3.so"


def test_wheel_carries_the_licence(packages):
    """The licence's text is in the wheel."""
    assert list(packages.wheel.glob("*.dist-info/**/LICENSE"))


def test_extension_exports_its_init_function_alone(extension):
    """No symbol of the extension can meet another library's of the same name."""
    exported = run("nm", "-D", "--defined-only", "--format=just-symbols", extension, cwd=extension.parent)
    assert exported.stdout.split() == ["PyInit__hardware"]


def test_extension_is_stripped(extension):
    """The wheel's extension has no symbol table and no debug information."""
    sections = run("readelf", "--wide", "--sections", extension, cwd=extension.parent).stdout
    assert ".dynsym" in sections
    assert ".symtab" not in sections
    assert ".debug_info" not in sections


def test_extension_loads_late(extension):
    """It claims a static TLS block under glibc only: musl refuses to dlopen() a library that does."""
    dynamic = run("readelf", "--wide", "--dynamic", extension, cwd=extension.parent).stdout
    assert "NEEDED" in dynamic
    assert ("STATIC_TLS" in dynamic) == (platform.libc_ver()[0] == "glibc")


def test_wheel_boots_a_machine(packages):
    """What the wheel holds is enough to run a function on a CPU."""
    booted = run(sys.executable, "-P", "-c", BOOT, cwd=packages.wheel, PYTHONPATH=str(packages.wheel))
    assert booted.stdout.split() == [str(packages.wheel / "kemu/__init__.py"), "3"]


def test_make_refuses_a_warning(packages):
    """The warning that the packager's build passed over ends a developer's build."""
    refused = run(sys.executable, "setup.py", "build_ext", "--build-temp", "refused", "--build-lib",
                  "refused", cwd=packages.tree, KEMU_DEVELOP="1")
    assert refused.returncode != 0
    assert "nobody_reads_me" in refused.stdout
