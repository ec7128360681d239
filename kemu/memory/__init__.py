"""Typed views of shared memory: task, CPU, completion, per-CPU variables, functions.

A view is an object whose attributes are words (:class:`kemu.native.Word`) at
the right offsets.  Views hold no state of their own, so two processes, or two
views, never disagree.  Offsets of what the hardware touches come from
``native``; what only the kernel's logic touches is declared here, once.

Nothing here sleeps, and the only locks are the allocators' own.
"""
