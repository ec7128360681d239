"""Lists of offsets: Linux's list_head, checked from both sides at every step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemu.errors import MachineError, UsageError
from kemu.native import Memory, Word
from tests.native.memories import cpu_offset, small

steps = st.lists(st.tuples(st.sampled_from(["add", "add_tail", "del"]), st.integers(0, 5)),
                 max_size=40)


def new_list(memory: Memory) -> tuple[int, list[int]]:
    """A head, and six nodes that are on no list."""
    head = cpu_offset(memory, 0, "fair_next")
    return head, [memory.heap_alloc(16) for _ in range(6)]


def on(memory: Memory, head: int) -> list[int]:
    """The nodes from first to last; the links back must say the same."""
    nodes, at = [], head
    while (after := memory.list_next(at)) != head:
        assert Word(memory, after + 8).load() == at
        nodes.append(at := after)
    return nodes


@given(steps)
def test_a_list_is_a_python_list(plan: list[tuple[str, int]]) -> None:
    """Whatever is added and removed, the order is that of a list in Python."""
    memory = small()
    head, nodes = new_list(memory)
    model: list[int] = []
    for step, number in plan:
        node = nodes[number]
        if step == "del":
            memory.list_del(node)       # list_del_init(): a node on no list may be deleted
            model = [other for other in model if other != node]
        elif node in model:
            with pytest.raises(UsageError, match="on a list"):
                memory.list_add(head, node)
        elif step == "add":
            memory.list_add(head, node)
            model.insert(0, node)
        else:
            memory.list_add_tail(head, node)
            model.append(node)
        assert on(memory, head) == model


def test_an_empty_list() -> None:
    """Its head is its own next; a node that was never on a list is its own too."""
    memory = small()
    head, nodes = new_list(memory)
    assert memory.list_next(head) == head
    assert memory.list_next(nodes[0]) == nodes[0]


def test_a_head_is_no_node_of_itself() -> None:
    """A list cannot be put on itself."""
    memory = small()
    head, _ = new_list(memory)
    with pytest.raises(UsageError):
        memory.list_add(head, head)


@pytest.mark.parametrize("word", ["next", "prev"])
def test_a_broken_link_is_found(word: str) -> None:
    """A link that is overwritten is an error of the machine, and nothing is changed by it."""
    memory = small()
    head, nodes = new_list(memory)
    memory.list_add(head, nodes[0])
    memory.list_add_tail(head, nodes[1])
    Word(memory, nodes[0] + (0 if word == "next" else 8)).store(nodes[5])
    before = memory.read(0, memory.size)
    with pytest.raises(MachineError, match="contradicts"):
        memory.list_del(nodes[0])
    assert memory.read(0, memory.size) == before


def test_a_link_that_leads_out_is_not_followed() -> None:
    """If next is not an offset of the memory, the list has no next node."""
    memory = small()
    nodes = new_list(memory)[1]
    Word(memory, nodes[0]).store(-8)
    with pytest.raises(MachineError):
        memory.list_next(nodes[0])


@pytest.mark.parametrize("offset", [-1, 4, 1 << 50])
def test_no_node_outside_the_memory(offset: int) -> None:
    """Head or node, each must be two words of the memory."""
    memory = small()
    head, nodes = new_list(memory)
    for call in (lambda: memory.list_add(head, offset), lambda: memory.list_add(offset, nodes[0]),
                 lambda: memory.list_add_tail(head, offset), lambda: memory.list_del(offset),
                 lambda: memory.list_next(offset)):
        with pytest.raises(UsageError):
            call()


def test_a_node_of_one_word_is_none() -> None:
    """The last word of the memory has no second beside it."""
    memory = small()
    with pytest.raises(UsageError):
        memory.list_next(memory.size - 8)
