"""The framework for races: what a race is, how it runs, and how it is judged.

    race       the public object: sides, actors, points, invariants, a script
    trial      what runs in the machine: the referee and the actors
    runner     machines for each side, jitter, counts
    verdict    intervals and verdicts
    text       an outcome as plain text: a table, a diagram, the command that runs it again
    record     an outcome as JSON

The stories are in kemu.races; a user's own race needs only this room.
"""
