"""Small programs on the toy machine: what the searches are compared on."""

from __future__ import annotations

A, B, C, FIRST, SECOND = range(5)       # two of them are locks


def adds(word):
    """Not atomic: the value that is stored does not matter for the order of the steps."""
    return [("load", word), ("store", word, 1)]


def locked(lock, *inside):
    return [("lock", lock), *inside, ("unlock", lock)]


PROGRAMS = {
    "apart": [[*adds(A)], [*adds(B)], [*adds(C)]],
    "lost addition": [adds(A), adds(A)],
    "three additions": [[("add", A, 1)], [("add", A, 1)], [("add", A, 1)]],
    "three stores": [[("store", A, 1)], [("store", A, 2)], [("store", A, 3), ("load", A)]],
    "store buffering": [[("store", A, 1), ("load", B)], [("store", B, 1), ("load", A)]],
    "a message": [[("store", A, 1), ("store", B, 1)], [("if", B, 1, 1), ("load", A)]],
    "a mutex": [locked(FIRST, *adds(A)), locked(FIRST, *adds(A))],
    "a mutex, and beside it": [[("store", B, 1), *locked(FIRST, *adds(A)), ("load", C)],
                               [("store", C, 1), *locked(FIRST, *adds(A)), ("load", B)]],
    "two locks in a circle": [[("lock", FIRST), *locked(SECOND), ("unlock", FIRST)],
                              [("lock", SECOND), *locked(FIRST), ("unlock", SECOND)]],
    "a wait": [[("load", B), ("store", A, 1), ("store", B, 2)],
               [("store", B, 1), ("wait", A, 0), ("load", B)]],
    "a wait of two": [[("wait", A, 0), ("load", B)], [("wait", A, 0), ("store", B, 1)],
                      [("load", B), ("add", A, 1)]],
    "a witness": [[("store", A, 1), ("store", A, 0)], [("if", A, 1, 1), ("add", C, 1)],
                  [("if", A, 1, 1), ("add", C, 1)]],
    "independent first": [[("store", C, 1), ("store", A, 1), ("load", B)],
                          [("load", A), ("store", B, 1), ("load", C)],
                          [("store", B, 2)]],
}


def any_program(draw):
    """A program drawn at random: two CPUs with up to six operations, or three with up to four."""
    cpus = draw.choice([2, 2, 3])
    program = []
    for _ in range(cpus):
        body: list[tuple] = []
        length = draw.randint(1, 6 if cpus == 2 else 4)
        while len(body) < length:
            word = draw.choice([A, B, C])
            kind = draw.choice(["load", "store", "store", "add", "if", "wait", "lock"])
            if kind == "lock":
                body += locked(draw.choice([FIRST, SECOND]), ("load", word), ("add", word, 1))
            else:
                body.append((kind, word, *{"load": [], "store": [draw.randint(0, 2)], "add": [1],
                                           "if": [draw.randint(0, 1), 1],
                                           "wait": [draw.randint(0, 1)]}[kind]))
        program.append(body)
    return program


def table():
    """The counts for the documentation, as lines of a table."""
    from kemu.explore.exhaustive import Exhaustive
    from kemu.explore.reduced import Reduced
    from tests.explore.toy import outcomes

    for name, program in PROGRAMS.items():
        cells = []
        for bound in (0, 1, 2, 3, None):
            whole, reduced = Exhaustive(bound), Reduced(bound)
            found = outcomes(program, whole)
            same = found == outcomes(program, reduced)
            cells.append("deadlock" if found == {"deadlock"} else
                         f"{whole.held:,} / {reduced.held:,} / {len(found)}" + " differs" * (not same))
        yield f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    print(*table(), sep="\n")
