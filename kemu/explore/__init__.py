"""Controlled schedules: one CPU runs at a time, and a plan decides every switch.

kemu's own.  The hardware's half is native/hardware/chooser.c, which says what a step is.

    plan        what a trial is to do: choices, then a rule
    table       the plan and the record in shared memory
    record      what a trial did, step by step, in names that every machine shares
    strategy    which plan comes next: random, PCT
    referee     holds controlled trials, in the machine
    run         boots the machines, and judges
"""
