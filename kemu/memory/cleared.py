"""The per-CPU variables that a race zeroes before each trial.

The first process that asks for a variable adds a symbol of its name, and then the
block that the symbol points to (memory/struct.py).  No process removes a symbol or
moves a block.  So :class:`ClearedVariables` reads the name of each symbol once and
keeps the words of each block.  A trial then costs a store for each word.

Locks: none.  The acquire of ``nr_symbols`` pairs with the release in kemu_symbol(), and
that of a symbol's value with the cmpxchg in struct._area_of().
Callers: harness/referee.py.
"""

from __future__ import annotations

from kemu import native
from kemu.memory.struct import CLEARED, WORD

STEP = native.SYMBOL_NAME + WORD


class ClearedVariables:
    """Every :class:`PerCPU` variable of a memory except those declared with ``keep=True``."""

    def __init__(self, memory: native.Memory) -> None:
        self._memory = memory
        self._table = memory.symbols
        self._nr_symbols = native.Word(memory, native.HEADER["nr_symbols"])
        self._seen = 0                              # symbols that were examined
        self._without_block: list[native.Word] = []
        self._words: list[native.Word] = []

    def clear(self) -> None:
        """Zero every word of the variables that exist now.  Does not sleep."""
        self._look_at_new_symbols()
        if self._without_block:
            self._without_block = [symbol for symbol in self._without_block
                                   if not self._found_block(symbol)]
        for word in self._words:
            word.store(0)

    def _look_at_new_symbols(self) -> None:
        nr = self._nr_symbols.load_acquire()
        for index in range(self._seen, nr):
            symbol = self._table + index * STEP
            if self._memory.symbol_name(symbol).startswith(CLEARED):
                self._without_block.append(native.Word(self._memory, symbol))
        self._seen = nr

    def _found_block(self, symbol: native.Word) -> bool:
        """Keep the words of the variable's block, whose first word is their size in bytes."""
        block = symbol.load_acquire()
        if not block:
            return False
        size = native.Word(self._memory, block).load()
        self._words += [native.Word(self._memory, block + WORD + offset)
                        for offset in range(0, size, WORD)]
        return True
