"""The board: what holds the CPUs.

    controller (the user's process)
      helper (one, clean, single-threaded; kept for the next boot)
        CPU 0, CPU 1, ...  (forks of the helper, each pinned to a host core)

``machine`` is what the user holds; ``boot`` starts the helper and the CPUs;
``helper`` and ``processor`` are what those processes run; ``request`` is a
function on its way to a CPU; ``override`` puts pre-fix functions in place;
``report`` words what went wrong.
"""
