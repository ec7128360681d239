"""kemu's own mechanisms: nothing in this room exists in Linux.

Points where a script or a delay may act (point, points), the detection that every task is at
rest (quiesce), the search for a cycle of waits (hung), the table of the kernel versions that a
machine can run (version), the hooks (wiring), and the hardware as the kernel sees it (system).
"""
