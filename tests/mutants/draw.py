"""The mutants: every small change of a function of the kernel, and a draw among them.

A mutant is one function with one change.  The operators:

    drop        a statement that is a call; the call's name says if it is a store or a flag
    invert      the condition of an if, a while or a conditional expression
    swap        0 and 1, False and True
    return      at the start of the function, or before its last statement if that is no return
    negate      the result of a return

Points and traces are left alone: without them the kernel does the same.  A function that the
override mechanism cannot replace has no mutants (is_replaceable()).

Callers: run, survey, client, judge, swap, test_mutants.
"""

from __future__ import annotations

import ast
import copy
import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants.modules import file_of, modules

STORES = {"store", "store_release", "store_relaxed", "set", "add", "sub"}
FLAGS = {"set_bit", "clear_bit", "fetch_or", "fetch_and", "test_and_set_bit", "test_and_clear_bit"}
SILENT = {"point", "trace"}
EXACT_SWAP = {0: 1, 1: 0}
NOTHING = "nothing"         # the operator of control(): it changes nothing


@dataclass(frozen=True)
class Mutant:
    """A function with one change.  ``source`` is the whole function, as it is then."""

    module: str
    function: str
    line: int
    change: str
    source: str

    @property
    def file(self) -> str:
        """The module's file, from the root of the tree."""
        return self.module.replace(".", "/") + ".py"

    @property
    def name(self) -> str:
        """Where it is and what it is; no other mutant has the same."""
        return f"{self.file}:{self.line} {self.function}: {self.change}"

    @property
    def key(self) -> str:
        """A judgement of one key holds as long as the function is the same."""
        return self.name + self.source


def functions(module: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions of a module and the methods of its classes that can be replaced."""
    tree = ast.parse(file_of(module).read_text())
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for one in inner:
            if isinstance(one, ast.FunctionDef) and is_replaceable(one):
                yield prefix + one.name, one


def is_replaceable(function: ast.FunctionDef) -> bool:
    """Whether an override can stand for it: plain parameters, and no cell of its class."""
    given = function.args
    plain = not (given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs)
    return plain and not any(isinstance(node, ast.Name) and node.id in {"super", "__class__"}
                             for node in ast.walk(function))


@dataclass(frozen=True)
class Site:
    """Where a mutant can be made, and which; the mutant is made only if it is drawn."""

    module: str
    function: str
    tree: ast.FunctionDef
    line: int
    change: str
    position: int | None = None     # of the node in _nodes(); None: a return at ``at``
    at: int = 0

    def mutant(self) -> Mutant:
        """The mutant."""
        mutated = copy.deepcopy(self.tree)
        if self.position is None:
            mutated.body.insert(self.at, ast.Return(value=None))
        else:
            _apply(_nodes(mutated)[self.position], self.change)
        return _mutant(self.module, self.function, self.line, self.change, mutated)


@functools.cache
def sites(module: str) -> tuple[Site, ...]:
    """Every site of a module."""
    return tuple(site for name, tree in functions(module) for site in _sites_of(module, name, tree))


def _sites_of(module: str, name: str, tree: ast.FunctionDef) -> Iterator[Site]:
    for position, node in enumerate(_nodes(tree)):
        for change in _changes(node):
            yield Site(module, name, tree, node.lineno, f"{change} {_shown(node)}", position)
    first, last = _first(tree), len(tree.body) - 1
    yield Site(module, name, tree, tree.body[first].lineno, "return at the start", at=first)
    if last > first and not isinstance(tree.body[last], ast.Return):
        yield Site(module, name, tree, tree.body[last].lineno, "return before the last statement", at=last)


def control(module: str, function: str) -> Mutant:
    """A mutant that changes nothing: every test must pass with it, and it must be called."""
    found = dict(functions(module))[function]
    line = found.body[_first(found)].lineno
    return _mutant(module, function, line, NOTHING, copy.deepcopy(found))


def order(seed: int) -> list[Site]:
    """Every site of all modules, in an order of which any first part is a fair sample of each module.

    Each module's sites are shuffled, and then spread evenly over the list.  A site's luck depends on
    the seed and on its own names alone, so a change of the kernel elsewhere leaves most of the order.
    """
    def luck(site: Site) -> float:
        return random.Random(f"{seed} {site.module} {site.function} {site.change}").random()

    placed = []
    for module in modules():
        mixed = sorted(sites(module), key=lambda site: (luck(site), site.line))
        placed += [((number + luck(site)) / len(mixed), site) for number, site in enumerate(mixed)]
    return [site for _, site in sorted(placed, key=lambda one: one[0])]


def draw(count: int, seed: int) -> list[Mutant]:
    """The mutants of so many sites, the first of the order; all if there are fewer."""
    return [site.mutant() for site in order(seed)[:count]]


def find(module: str, function: str, change: str) -> Mutant:
    """The first mutant of a function whose change has that text in it."""
    return next(site.mutant() for site in sites(module)
                if site.function == function and change in site.change)


def _mutant(module: str, name: str, line: int, change: str, tree: ast.FunctionDef) -> Mutant:
    tree.decorator_list = []
    return Mutant(module, name, line, change, ast.unparse(ast.fix_missing_locations(tree)))


def _first(function: ast.FunctionDef) -> int:
    """The number of the first statement behind the docstring."""
    return int(ast.get_docstring(function) is not None and len(function.body) > 1)


def _nodes(function: ast.FunctionDef) -> list[ast.AST]:
    """What may be changed, in an order that a copy of the function has too."""
    return [node for statement in function.body for node in _walk(statement)]


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) \
            and _called(node.value) in SILENT:
        return
    if hasattr(node, "lineno"):
        yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"}:
            continue
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, ast.AST):
                yield from _walk(inner)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _changes(node: ast.AST) -> Iterator[str]:
    """The operators that fit a node."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = _called(node.value)
        yield "drop the store" if called in STORES else "drop the flag" if called in FLAGS else "drop"
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript):
        yield "drop the store"
    elif isinstance(node, ast.If | ast.IfExp) or (isinstance(node, ast.While)
                                                 and not isinstance(node.test, ast.Constant)):
        yield "invert"
    elif isinstance(node, ast.Constant) and type(node.value) in {int, bool} and node.value in EXACT_SWAP:
        yield "swap"
    elif isinstance(node, ast.Return) and node.value is not None \
            and not isinstance(node.value, ast.Constant):
        yield "negate"


def _apply(node: ast.AST, change: str) -> None:
    """Change the node in place."""
    match node:
        case ast.Expr():
            node.value = ast.Constant(value=None)
        case ast.Assign():
            node.targets = [ast.Name(id="_", ctx=ast.Store())]
        case ast.If() | ast.IfExp() | ast.While():
            node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
        case ast.Constant():
            node.value = not node.value if isinstance(node.value, bool) else EXACT_SWAP[node.value]
        case ast.Return():
            node.value = ast.UnaryOp(op=ast.Not(), operand=node.value)
        case _:
            raise TypeError(f"{change}: {ast.dump(node)}")


def _shown(node: ast.AST) -> str:
    """The node in a line; the column too, because a line can hold the same constant twice."""
    shown = node.test if isinstance(node, ast.If | ast.While) else node
    text = f"`{ast.unparse(shown).splitlines()[0]}`"
    return f"{text} in column {node.col_offset}" if isinstance(node, ast.Constant) else text
