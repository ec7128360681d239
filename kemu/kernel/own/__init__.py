"""kemu's own mechanisms: nothing in this room exists in Linux.

Points where a script or a delay may act, the detection that every task is at rest, the
search for a cycle of waits, and the table of the kernel versions that a machine can run.
"""
