"""What the user's modules hold travels by value, and the user's own pickles stay as they were."""

from __future__ import annotations

import pickle
import sys
from enum import Enum
from typing import TypeVar

import cloudpickle
import pytest

from kemu.kernel.sched.completion import complete
from kemu.machine.override import make_override
from kemu.memory import functions

PACKAGE = {
    "__init__.py": "from elsewhere.inner import Thing\n",
    "inner.py": """
        from enum import Enum
        from typing import Generic, TypeVar

        T = TypeVar("T")

        class Colour(Enum):
            RED = 1

        class Thing(Generic[T]):
            class Nested:
                size = 3

            def answer(self):
                return helper() + self.Nested.size

        def helper():
            return 4

        def answer():
            return Thing().answer()
    """,
}


def is_even(number):
    return number % 2 == 0


def is_odd(number):
    return number % 2 == 1


def by_name(thing: object) -> bytes:
    """What pickle writes, which sends functions by name only."""
    return pickle.dumps(thing, cloudpickle.DEFAULT_PROTOCOL)


def test_run_leaves_the_users_pickles_alone(machine):
    """The user's own cloudpickle still sends a function by name after a machine has run it."""
    assert machine(1).run(is_even, 4)
    assert cloudpickle.dumps(is_even) == by_name(is_even)


def test_override_leaves_the_users_pickles_alone():
    """The same holds for a function that is overridden, and for its replacement."""
    functions.dumps(make_override(is_even, is_odd))
    assert cloudpickle.dumps((is_even, is_odd)) == by_name((is_even, is_odd))


def test_switch_of_the_user_stays(machine):
    """A module that the user has registered with cloudpickle stays registered."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        assert machine(1).run(is_even, 4)
        assert __name__ in cloudpickle.list_registry_pickle_by_value()
    finally:
        cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A module of a package that can be imported only until travelled() removes it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text("\n".join(line.removeprefix(" " * 8)
                                             for line in text.splitlines()))
    monkeypatch.syspath_prepend(tmp_path)
    import elsewhere.inner

    yield elsewhere.inner
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "elsewhere"]:
        del sys.modules[name]


def travelled(thing, monkeypatch):
    """The thing as a process loads it that cannot import the package."""
    data = functions.dumps(thing)
    forget()
    monkeypatch.setattr(sys, "path", sys.path[1:])
    with pytest.raises(ImportError):
        __import__("elsewhere")
    return pickle.loads(data)


def test_function(elsewhere, monkeypatch):
    """A function travels with the functions and classes of its module that it uses."""
    assert travelled(elsewhere.answer, monkeypatch)() == 7


def test_class(elsewhere, monkeypatch):
    """An instance takes its class along."""
    assert travelled(elsewhere.Thing(), monkeypatch).answer() == 7


def test_nested_class(elsewhere, monkeypatch):
    """A class inside a class travels without the outer one."""
    assert travelled(elsewhere.Thing.Nested, monkeypatch).size == 3


def test_enum(elsewhere, monkeypatch):
    """A member of an enumeration takes the enumeration along."""
    loaded = travelled(elsewhere.Colour.RED, monkeypatch)
    assert isinstance(loaded, Enum)
    assert loaded.value == 1


def test_type_variable(elsewhere, monkeypatch):
    """A type variable, which classes of the module refer to, travels as its parts."""
    loaded = travelled(elsewhere.T, monkeypatch)
    assert isinstance(loaded, TypeVar)
    assert loaded.__name__ == "T"


def test_module(elsewhere, monkeypatch):
    """A module travels with all it holds."""
    assert travelled(elsewhere, monkeypatch).answer() == 7


def test_module_of_a_package_without_a_file(elsewhere, monkeypatch):
    """A module that a user's package made at run time belongs to the package."""
    made = type(sys)("elsewhere.made")
    exec("def seven(): return 7", vars(made))
    monkeypatch.setitem(sys.modules, "elsewhere.made", made)
    assert travelled(made.seven, monkeypatch)() == 7


@pytest.mark.parametrize("thing", [complete, pickle.dumps, pytest.fixture, Enum, sys, pytest])
def test_installed(thing):
    """What every process can import travels by name."""
    assert len(functions.dumps(thing)) < 100


def file_of_the_code() -> str:
    return file_of_the_code.__code__.co_filename


def test_code_keeps_the_name_of_its_file(machine):
    """Reports name lines of the user's files.  cloudpickle 3.1.3 leaves the file's name out."""
    assert machine(1).run(file_of_the_code) == __file__
