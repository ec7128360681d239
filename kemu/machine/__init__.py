"""The board: what holds the CPUs.

    controller (the user's process)
      helper (one, clean, single-threaded; kept for the next boot)
        CPU 0, CPU 1, ...  (forks of the helper, each pinned to a host core)

    machine, handle                   what the user holds
    arguments, placement, boot        checks of arguments; a machine's memory at power-on
    power, helper_link                its processes and sockets; the controller's end of the helper
    helper, processor                 what the helper and a CPU process run
    task_thread, task_python, stacks  the threads of tasks, and what Python is there
    request                           a function on its way to a CPU: post in the controller,
                                      mailbox_irq in the interrupt, user_task in the task
    inbox, console, report            what the CPUs send; the text of what went wrong
    override                          puts pre-fix functions in place
"""
