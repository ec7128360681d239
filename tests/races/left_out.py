"""A function without one of its statements: each one alone.

A statement that holds others is left out with all of them, except `with`, of which the block stays: so a
lock is not taken, and what it guards is done.  These stay, because nothing depends on them in a race:

    points, traces, witnesses               they change nothing
    checks                                  they speak when an invariant is broken (test_checks.py)
    what gives a name its first value       otherwise each use of the name would raise

Callers: wrong_fixes.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

SILENT = {"point", "trace", "witness"}
CHECKS = {"WARN", "BUG", "broken", "check_alive", "check_cpu"}


def without_each_statement(function: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """For each statement: its first line, and the source of the function without it.

    The second statement of the same text has a "(2)" behind it.
    """
    whole = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(whole, ast.FunctionDef)
    whole.decorator_list = []
    seen: Counter[str] = Counter()
    named: set[str] = set()
    for number, suite in enumerate(_suites(whole)):
        for place, statement in enumerate(suite):
            if _is_silent(statement) or _names_first(statement, named):
                continue
            rest = copy.deepcopy(whole)
            kept = statement.body if isinstance(statement, ast.With) else [ast.Pass()]
            list(_suites(rest))[number][place:place + 1] = copy.deepcopy(kept)
            text = ast.unparse(statement).splitlines()[0]
            seen[text] += 1
            text = f"{text} ({seen[text]})" if seen[text] > 1 else text
            yield text, ast.unparse(ast.fix_missing_locations(rest))


def _suites(function: ast.FunctionDef) -> Iterator[list[ast.stmt]]:
    """Each list of statements, in an order that a copy of the function has too.

    Not one in which a check speaks: what follows the check is not reached.
    """
    for node in ast.walk(function):
        for name in ("body", "orelse", "finalbody"):
            suite = getattr(node, name, None)
            if isinstance(suite, list) and not any(_is_check(statement) for statement in suite[:-1]):
                yield suite


def _is_silent(statement: ast.stmt) -> bool:
    """Whether it is a docstring, or one of the calls that nothing depends on, or holds only such."""
    if isinstance(statement, ast.Pass | ast.Assert):
        return True
    if isinstance(statement, ast.If):
        return not statement.orelse and all(map(_is_silent, statement.body))
    return isinstance(statement, ast.Expr) and (
        isinstance(statement.value, ast.Constant) or _called(statement) in SILENT | CHECKS)


def _is_check(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and _called(statement) in {"WARN", "BUG"}


def _names_first(statement: ast.stmt, named: set[str]) -> bool:
    """Whether it gives a name its first value; the name is then in ``named``."""
    targets: list[ast.expr | None] = []
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = [*statement.targets] if isinstance(statement, ast.Assign) else [statement.target]
    elif isinstance(statement, ast.With):
        targets = [item.optional_vars for item in statement.items]
    names = {node.id for target in targets if target is not None for node in ast.walk(target)
             if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    first = not names <= named
    named |= names
    return first


def _called(statement: ast.Expr) -> str:
    called = statement.value.func if isinstance(statement.value, ast.Call) else None
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
