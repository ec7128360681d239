"""Latency: how long parking, waking and stopping take between two host cores.

What cyclictest is for timers of the host's kernel, for the hand-overs of kemu's.

    parking     the park and unpark round trip: its two tasks
    measures    every measure: what runs on the two CPUs
    topology    the host's cores, and how near two of them are
    sampler     a pair of cores: a machine, rounds of samples, the floor beside them
    report      tables, histograms, the matrix of all pairs
    compare     two saved runs: a ratio and its interval
    plot        the same as pictures (needs the extra ``plot``)

Callers: the command line (kemu latency); bench.
"""
