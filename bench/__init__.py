"""How fast kemu is, beside C and multiprocessing on the same host: `python -m bench`.

    stats        percentiles, tables, goals: what every measurement prints with
    host         what it ran on: cores, kernel, load
    child        run another program, and leave none behind
    native_ops   one operation on shared memory, from Python
    roundtrip    unpark, run, acknowledge, park between two CPUs; its rivals are bare hand-overs
                 in C (native.handover) and peers.py, its kemu side is kemu.latency.parking
    steps        where the time of one such round trip goes
    hotplug      a CPU down and up; parking threads beside creating them
    stoppers     kemu's stoppers beside the host kernel's
    boot         how long a boot takes
    memory       what one more CPU costs
    first_hit    how long until each race hits, by each way to run it

Nothing here asserts a time.  A goal is printed with "met" or "short" behind it.
"""
