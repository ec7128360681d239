"""The framework for races: what a race is, how it runs, and how it is judged.

    race       the public object: sides, actors, witnesses, invariants, a script
    declared   what a race file declares, and what is refused there
    sides      which functions stand in the kernel on each side
    script     holds: what is armed before a trial, and how each hold ended
    trial      what an actor's function is called with
    referee    the task that runs trials and finds failures
    findings   what a failure is, and which failure is the hit
    tally      what the trials of a machine count, in shared words
    mistakes   tells an exception of the race's own code from one of the kernel's
    rest       why a machine does not come to rest
    side_run   one side: machine after machine
    side_jobs  one side, on several machines side by side
    doubts     why a side proves nothing
    runner     all sides, as a plan says
    verdict    how to read a verdict
    interval   the interval of a rate
    text       an outcome as plain text: a table, a diagram, the command that runs it again
    record     an outcome as JSON

The stories are in kemu.races; a user's own race needs only this room.
"""
