"""What a machine did: the events, a reader of the rings, diagrams, and ftrace text.

It imports no kernel logic.  The kernel itself imports ``events``, which imports nothing.
"""
