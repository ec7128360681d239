"""What a user passes to a kernel thread and what the thread returns, checked.

kemu's own.  In Linux the C compiler checks the types.

Locks: none.
"""

from __future__ import annotations

from kemu.errors import UsageError, refuse, shown


def thread_name(namefmt: object, args: tuple[object, ...]) -> str:
    """The thread's name, of which 15 bytes will be kept.  Raises UsageError if namefmt makes none."""
    if not isinstance(namefmt, str):
        raise refuse("namefmt", namefmt, "a text, the thread's name")
    try:
        comm = namefmt % args if args else namefmt
    except (TypeError, ValueError) as error:
        raise refuse("namefmt", namefmt, f"a text that fits the arguments {shown(args)} ({error})") from error
    if "\0" in comm:
        raise refuse("namefmt", comm, "a text without a NUL, which would end the name")
    return comm


def thread_result(ret: object) -> int:
    """What a thread's function returned, as a word.  Raises UsageError for what does not fit one."""
    if ret is None:
        return 0
    if isinstance(ret, int) and -1 << 63 <= ret < 1 << 63:
        return int(ret)
    raise UsageError(f"a kernel thread's function returns an int or None, not {shown(ret)}")
