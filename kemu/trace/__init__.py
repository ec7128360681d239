"""Seeing: events, the reader of the rings, columns, ftrace text.

Imports no kernel logic; ``events`` is the leaf that the kernel itself imports.
"""
