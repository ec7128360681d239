"""The kernel's hooks: bound in every CPU process, and clear when they are not."""

from __future__ import annotations

import re

import pytest

from kemu.errors import UnboundHook
from kemu.kernel.own import wiring
from kemu.memory.hook import Hook

HOOKS = {name: hook for name, hook in vars(wiring).items() if isinstance(hook, Hook)}


def unbound():
    return [name for name in vars(wiring) if "not bound" in repr(getattr(wiring, name))]


def test_all_are_bound_in_a_cpu(machine):
    """No hook is without its function when the first task of a user runs."""
    assert machine(2).run(unbound) == []


def test_unbound_hook_says_who_binds_it():
    """A call of a hook that nothing is bound to names the hook and the module that binds it."""
    hook = Hook("power_off", "kemu.machine.processor")
    with pytest.raises(UnboundHook, match=r"hook power_off .* kemu\.machine\.processor must bind"):
        hook(1)


def test_bound_hook_calls_its_function():
    """bind() is a decorator, and the hook calls the function that it was given last."""
    hook = Hook("adds", "this test")
    bound = hook.bind(lambda a, b: a + b)
    assert (hook(1, 2), bound(1, 2)) == (3, 3)


def test_the_page_lists_every_hook():
    """The table at the head of the page has a row for each hook, under the hook's own name."""
    rows = re.findall(r"^    (\w+) {2,}\S.* {2,}\S", wiring.__doc__, re.MULTILINE)
    assert sorted(rows[1:]) == sorted(HOOKS) == sorted(hook.name for hook in HOOKS.values())
