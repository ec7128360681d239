"""The heap: zeroed blocks, each freed once, by its own offset."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemu.errors import MachineError, OutOfMemory, UsageError
from kemu.native import Word
from tests.native.memories import header, small, together


@given(st.lists(st.integers(0, 500), min_size=1, max_size=12))
def test_blocks_do_not_overlap(sizes: list[int]) -> None:
    """Each block has room for what was asked, and keeps it."""
    memory = small()
    blocks = [memory.heap_alloc(size) for size in sizes]
    for number, (block, size) in enumerate(zip(blocks, sizes, strict=True)):
        assert memory.read(block, size) == bytes(size)
        memory.write(block, bytes([number + 1]) * size)
    for number, (block, size) in enumerate(zip(blocks, sizes, strict=True)):
        assert memory.read(block, size) == bytes([number + 1]) * size


def test_a_block_comes_back_zeroed() -> None:
    """A freed block is used again, and nothing of its past is seen."""
    memory = small()
    block = memory.heap_alloc(100)
    memory.write(block, b"x" * 100)
    memory.heap_free(block)
    assert memory.heap_alloc(100) == block
    assert memory.read(block, 100) == bytes(100)


def test_a_second_free_is_refused() -> None:
    """The block stays free, once."""
    memory = small()
    block = memory.heap_alloc(8)
    memory.heap_free(block)
    with pytest.raises(UsageError):
        memory.heap_free(block)
    assert memory.heap_alloc(8) != memory.heap_alloc(8)


@pytest.mark.parametrize("away", [8, -8, 1, 32])
def test_only_a_block_can_be_freed(away: int) -> None:
    """An offset beside a block's is none, whatever the block holds."""
    memory = small()
    block = memory.heap_alloc(200)
    memory.write(block, memory.read(block - 8, 8) * 25)     # it looks like heads of blocks
    with pytest.raises(UsageError):
        memory.heap_free(block + away)


@pytest.mark.parametrize("offset", [0, 8, -8, 1 << 50, -1 << 63])
def test_a_foreign_offset_cannot_be_freed(offset: int) -> None:
    """Nothing outside the heap is a block."""
    memory = small()
    with pytest.raises(UsageError):
        memory.heap_free(offset)


def test_an_exhausted_heap() -> None:
    """It says so, changes nothing, and a free makes room again."""
    memory = small()
    blocks = []
    with pytest.raises(OutOfMemory):
        while True:
            blocks.append(memory.heap_alloc(1000))
    assert len(blocks) == (1 << 14) // 1024
    memory.heap_free(blocks[3])
    assert memory.heap_alloc(1000) == blocks[3]


@pytest.mark.parametrize("size", [-1, 1 << 30, (1 << 63) - 1])
def test_no_block_is_so_big(size: int) -> None:
    """A size that no heap has, and a negative one, which reads as such."""
    memory = small()
    with pytest.raises(OutOfMemory):
        memory.heap_alloc(size)


def test_no_heap_at_all() -> None:
    """A memory may be made without one."""
    memory = small(heap=0)
    with pytest.raises(OutOfMemory):
        memory.heap_alloc(0)


def test_a_use_after_free_is_found() -> None:
    """A write into a freed block spoils the free list, and the next allocation refuses the list."""
    memory = small()
    block = memory.heap_alloc(8)
    memory.heap_free(block)
    Word(memory, block).store(-64)
    assert memory.heap_alloc(8) == block
    with pytest.raises(MachineError):
        memory.heap_alloc(8)


def test_a_block_whose_head_was_overwritten() -> None:
    """A class that no block has leads nowhere: neither written nor freed."""
    memory = small()
    block = memory.heap_alloc(8)
    head = Word(memory, block - 8)
    for wrong in (0, -1, head.load() | 0xff, head.load() | 0x0f):
        head.store(wrong)
        with pytest.raises(UsageError):
            memory.write(block, b"12345678" * 100)
        with pytest.raises(UsageError):
            memory.heap_free(block)


def test_a_heap_whose_end_was_overwritten() -> None:
    """Nothing is handed out beyond the heap."""
    memory = small()
    header(memory, "heap_brk").store(memory.size * 2)
    with pytest.raises(MachineError):
        memory.heap_alloc(8)


def test_two_threads_never_share_a_block() -> None:
    """Allocated at the same time, by threads without tasks."""
    memory = small(heap=1 << 17)

    def take() -> set[int]:
        return {memory.heap_alloc(8) for _ in range(500)}

    one, other = together(take, take)
    assert len(one | other) == 1000
