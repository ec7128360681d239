"""Write the recorded outputs of the documentation anew: ``python -m tests.docs.record [PAGE...]``.

Run it after a change of what a command prints, then read the difference before you commit it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, blocks, commands, execute, write_part


def anonymous(output: str, folder: Path) -> str:
    """An output without the folders of the machine that it was recorded on."""
    for path, shown in ((folder, "/home/you"), (ROOT, "/home/you/kemu"), (sys.base_prefix, "/usr")):
        output = output.replace(str(path), shown)
    return output.strip("\n")


def record(page: Path) -> None:
    """Run a page's examples, and put what each recorded command prints in place of what stands there."""
    lines = page.read_text().splitlines(keepends=True)
    anew = list(lines)
    shift = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for block in blocks(page):
            if block.language == "python" and block.is_part_of_a_file:
                write_part(block, folder)
            if block.language != "console" or "show" in block.words:
                continue
            printed = [(command, execute(block, command, folder)) for command, _ in commands(block)]
            if "recorded" in block.words:
                text = [line.rstrip() + "\n" for command, output in printed
                        for line in [f"$ {command}", *anonymous(output, folder).splitlines()]]
                first, count = block.line + shift, block.text.count("\n")
                anew[first:first + count] = text
                shift += len(text) - count
    page.write_text("".join(anew))


if __name__ == "__main__":
    for page in [Path(name) for name in sys.argv[1:]] or PAGES:
        record(page)
