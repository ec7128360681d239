"""``python -m kemu`` is ``kemu``."""

from kemu.cli import main

main()
