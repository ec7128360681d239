"""Controlled schedules: one CPU runs at a time, and a plan decides every switch.

kemu's own.  The hardware's half is native/hardware/chooser.c, which says what a step is.

    alternative what may happen next at a choice
    plan        what a trial is to do: choices, then a rule
    table       the plan and the record in shared memory
    record      what a trial did, step by step, in names that every machine shares
    strategy    which plan comes next: one again, random, PCT
    exhaustive  all plans with at most so many preemptions
    order       which steps of a trial depend on which
    reduced     the same, but one order of independent steps is enough
    referee     holds controlled trials, in the machine
    trials      boots a machine, and reads what happened in it
    run         searches both sides of a race, and judges
    fewest      the same failure with the fewest preemptions, by a search
    minimise    a schedule that fails, with fewer switches
    schedule    a trial as a file
    replay      that trial again, compared step by step
    draw        a trial as a diagram
    walk        a trial from switch to switch, with the state then
"""
