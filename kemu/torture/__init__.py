"""Torture: no steering, only load and luck (Linux: kernel/torture.c).

``onoff`` takes CPUs down and up at random, beside a load; ``load`` is the load.
"""
