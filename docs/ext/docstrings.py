"""kemu's docstrings as reStructuredText or Markdown: tables and diagrams stay as they are written.

An indented part of a docstring is a table, a diagram or code; a reader of the site sees every
character of it.  The rest is prose, bulleted lists and ``literals``.  Markup characters in prose
are escaped.  autodoc takes reStructuredText; the directives of kernel_tables take Markdown.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

RST = re.compile(r"([\\*|`])|(?<=\w)(_)(?=\W|$)")
MARKDOWN = re.compile(r"([\\*|`_<>\[\]{}$#])")
PARAMETER = re.compile(r"``(\w+)``: (.*?)(?=``\w+``: |$)")     # a paragraph of them: a list
KEPT = re.compile(r"``[^`]+``|:\w+:`[^`]+`|`[^`]+`")


def head(path: Path) -> str:
    """The docstring of a module, or the comment that begins a C file."""
    text = path.read_text()
    if path.suffix == ".py":
        return ast.get_docstring(ast.parse(text)) or ""
    comment = re.match(r"/\*\n(.*?)\n \*/", text, re.DOTALL)
    lines = comment.group(1).splitlines() if comment else []
    return inspect.cleandoc("\n".join(line[2:].lstrip(" ") for line in lines)).expandtabs(8)


def as_rst(text: str) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    lines: list[str] = []
    for part in _parts(text.splitlines()):
        if lines:
            lines.append("")
        if _indented(part):
            lines += ["::", "", *("   " + line for line in part)]
        elif PARAMETER.match(part[0]):
            lines += [f":param {found[1]}: {_escaped(found[2].strip(), RST)}"
                      for found in PARAMETER.finditer(" ".join(part))]
        else:
            lines += [_escaped(line, RST) for line in part]
    return lines


def as_markdown(text: str) -> list[str]:
    """The lines of a docstring as Markdown."""
    lines: list[str] = []
    for part in _parts(text.splitlines()):
        if _indented(part):
            lines += ["```text", *inspect.cleandoc("\n".join(part)).splitlines(), "```"]
        else:
            lines += [_escaped(line, MARKDOWN) for line in part]
        lines.append("")
    return lines


def _indented(part: list[str]) -> bool:
    return part[0].startswith("  ")


def _parts(lines: list[str]) -> Iterator[list[str]]:
    """Paragraphs, lists, and indented parts; an indented part holds its blank lines."""
    part: list[str] = []
    for line in lines:
        if part and line.strip():
            into_block = line.startswith("    ") and not _indented(part) and not _is_item(part)
            out_of_block = _indented(part) and not line.startswith("  ")
            after_blank = not part[-1].strip() and not (_indented(part) and line.startswith("  "))
            if into_block or out_of_block or after_blank:
                yield _stripped(part)
                part = []
        if part or line.strip():
            part.append(line)
    if part:
        yield _stripped(part)


def _is_item(part: list[str]) -> bool:
    return part[0].startswith(("* ", "- "))


def _stripped(part: list[str]) -> list[str]:
    while not part[-1].strip():
        part.pop()
    return part


def _escaped(line: str, special: re.Pattern[str]) -> str:
    """A line of prose; a special character stands for itself, but not in what is marked up."""
    bullet = re.match(r"\s*[*-] ", line)
    position = bullet.end() if bullet else 0
    done = [line[:position]]
    for kept in KEPT.finditer(line, position):
        done += [escaped(line[position:kept.start()], special), kept.group()]
        position = kept.end()
    return "".join([*done, escaped(line[position:], special)])


def escaped(text: str, special: re.Pattern[str] = MARKDOWN) -> str:
    """A text in which every special character stands for itself."""
    return special.sub(lambda found: "\\" + found.group(), text)


def _convert(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [*as_rst("\n".join(lines)), ""]


def _keep_blocks(app: Sphinx, context: Any, lines: list[str]) -> None:
    """A block that click must not wrap is shown as it is written; sphinx-click makes it lines of prose."""
    done: list[str] = []
    for line in lines:
        was_kept = bool(done) and done[-1].startswith("   ")
        if line.startswith("| "):
            done += [] if was_kept else ["", "::", ""]
            done.append("   " + line[2:])
        else:
            done += ["", line] if was_kept else [line]
    lines[:] = done


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", _convert)
    app.connect("sphinx-click-process-description", _keep_blocks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
