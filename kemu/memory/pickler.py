"""The pickler of what goes to another process, and what it sends by value.

Every process can import kemu's own code, installed packages and the standard
library, so their functions and classes travel by name.  A module of the user's (a
script, a notebook, a test) may not be importable elsewhere, so what it holds travels
by value: :class:`Pickler` sends the code.

cloudpickle's own switch for this, ``register_pickle_by_value()``, holds for the whole
process: the user's own ``cloudpickle.dumps()`` would write by value too.  So the
pickler here overrules cloudpickle, which lets an object through by name, for the
objects of the user's modules.  It uses cloudpickle's reducers for that, which are
private there: no other file of kemu names them.

Locks: none.  Callers: memory/functions.py.
"""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
from collections import ChainMap
from types import CodeType, FunctionType, ModuleType
from typing import Any, ClassVar, TypeVar

import cloudpickle  # type: ignore[import-untyped]
from cloudpickle import cloudpickle as reducers


def _installed_places() -> tuple[str, ...]:
    paths = [*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages(),
             os.path.dirname(os.path.dirname(os.path.abspath(__file__))), sys.base_prefix + "/lib"]
    return tuple(os.path.join(os.path.realpath(path), "") for path in paths)


_PLACES = _installed_places()
CO_FILENAME = 10        # of the arguments of CodeType(), since Python 3.11


@functools.cache
def _is_installed(file: str) -> bool:
    return os.path.realpath(file).startswith(_PLACES)


def _is_file_of_user(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)    # a built-in module has none
    return isinstance(file, str) and not _is_installed(file)


def _is_of_user(module: str) -> bool:
    """Whether the module of that name, or a package around it, is a file of the user's."""
    parts = module.split(".")
    return any(_is_file_of_user(sys.modules.get(".".join(parts[:length])))
               for length in range(len(parts), 0, -1))


def _is_found_at_user(thing: Any) -> bool:
    """Whether pickle would look the function, class or TypeVar up in a module of the user's."""
    found = reducers._lookup_module_and_qualname(thing)
    return found is not None and _is_of_user(found[0].__name__)


def _code_with_its_file(code: CodeType) -> tuple[Any, ...]:
    """cloudpickle 3.1.3 leaves the file's name out.  Reports name lines of the user's files by it."""
    make, arguments = reducers._code_reduce(code)
    return make, (*arguments[:CO_FILENAME], code.co_filename, *arguments[CO_FILENAME + 1:])


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's pickler, but what the user's modules hold travels by value."""

    dispatch_table: ClassVar = ChainMap({CodeType: _code_with_its_file}, cloudpickle.Pickler.dispatch_table)

    def reducer_override(self, thing: Any) -> Any:
        """How to pickle the object; NotImplemented where pickle's own way will do."""
        reduced = super().reducer_override(thing)
        if reduced is not NotImplemented:
            return reduced
        if isinstance(thing, FunctionType):
            return self._dynamic_function_reduce(thing) if _is_found_at_user(thing) else reduced
        if issubclass(type(thing), type):
            return reducers._dynamic_class_reduce(thing) if _is_found_at_user(thing) else reduced
        if isinstance(thing, ModuleType) and _is_of_user(thing.__name__):
            return _module_by_value(thing)
        if isinstance(thing, TypeVar) and _is_found_at_user(thing):
            return reducers._make_typevar, reducers._decompose_typevar(thing)
        return reduced


def _module_by_value(module: ModuleType) -> tuple[Any, ...]:
    held = {name: value for name, value in vars(module).items() if name != "__builtins__"}
    return reducers.dynamic_subimport, (module.__name__, held)
