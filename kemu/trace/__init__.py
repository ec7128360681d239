"""Seeing: events, the reader of the rings, columns, ftrace text, latencies.

Imports no kernel logic; ``events`` is the leaf that the kernel itself imports.
"""
