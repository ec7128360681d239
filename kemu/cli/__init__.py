"""The command line: one module for each command; here are the group and main().

    options    the options that several commands share, and the files that they name
    show       where answers and progress go, in which colours and which width
    endings    how an error, Ctrl-C and a closed pipe become an exit status
    (others)   one command each, in a function that has the module's name

Answers go to standard output, progress and errors to standard error.  The exit statuses are
those of kemu.exits.  A command's module is imported when the command runs, so that
``kemu --help`` answers at once.
"""

from __future__ import annotations

import importlib
import os
import sys

import click
from click.shell_completion import shell_complete

import kemu
from kemu.cli import endings
from kemu.machine import log

COMPLETE = "_KEMU_COMPLETE"         # by which a shell asks for completions

COMMANDS = {
    "Start here": {
        "demo": "Watch a kernel thread wake up on the wrong CPU, then see the fix hold.",
        "races": "List the races of Linux's history that kemu runs.",
        "race": "Run a race before and after its fix: a built-in one, or your own file.",
        "replay": "Run a schedule that a search found again, and draw it.",
    },
    "Write a race of your own": {
        "new": "Write a race to begin with into a file: it runs as it is.",
        "points": "List the places in the kernel where a script can hold a task.",
    },
    "Put the kernel under load": {
        "hotplug": "Take CPUs down and up at random, and audit the kernel's invariants.",
        "torture": "Run every kind of load at once, or your own, until something fails.",
    },
    "Measure": {
        "latency": "Measure park, unpark, wake-ups and IPIs between cores of this host.",
    },
}
"""Every command with what it does, as ``kemu --help`` shows it."""

HELP = """Linux's per-CPU kernel threads in user space, on real cores.

kemu boots a small machine, whose CPUs are processes on cores of this host, and runs the kernel's
code for kernel threads, CPU hotplug and stop_machine on it.  A race runs twice: before its fix it
must hit, after its fix it must not.

\b
  kemu demo                        see one race, with a diagram
  kemu races                       see which races there are
  kemu race unpark-wrong-cpu       force that race, 100 trials of each side
  kemu race --all --how jitter     try all of them with random delays
  kemu COMMAND --help              see what a command takes
"""

EPILOG = ("Exit status: 0 as expected; 1 not as expected; 2 unknown, because the run proves nothing; "
          "64 the command line or a file is wrong; 70 kemu itself failed; 130 Ctrl-C; 141 the reader "
          "of the output has gone.")


class Commands(click.Group):
    """The group: it knows every command's name, and imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in COMMANDS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        with endings.ctrl_c_later():
            command: click.Command = getattr(importlib.import_module(f"kemu.cli.{cmd_name}"), cmd_name)
        command.epilog = EPILOG
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()))


@click.group(cls=Commands, help=HELP, epilog=EPILOG,
             context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(kemu.__version__, prog_name="kemu")
@click.option("-v", "--verbose", is_flag=True, help="Log what the machines do, to standard error.")
def cli(verbose: bool) -> None:
    """The group itself; HELP is its help."""
    if verbose:
        log.enable()


def main() -> None:
    """The console script.

    It does not call click's own main(), which ends with 1 if the reader of the output has gone.
    """
    completing = os.environ.get(COMPLETE)
    if completing:
        sys.exit(shell_complete(cli, {}, "kemu", COMPLETE, completing))
    endings.run(_invoke)


def _invoke() -> int:
    with cli.make_context("kemu", sys.argv[1:]) as context:
        status: int = cli.invoke(context)
        return status
