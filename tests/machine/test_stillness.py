"""A wait that can never end is reported, with the tasks of its chain; a live machine never is."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time

import psutil
import pytest

from kemu import KernelHang, Machine
from kemu.errors import TaskTimeout, UsageError
from kemu.kernel.hotplug.cpu import cpu_down
from kemu.kernel.kthread import kthread_park, kthread_run, kthread_stop
from kemu.kernel.locking.mutex import Mutex
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.sched.timer import schedule_timeout_uninterruptible
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.smpboot import (SmpHotplugThread, smpboot_register_percpu_thread, smpboot_thread)
from kemu.memory.struct import Embedded, PerCPU, TaskRef, Word


class Room(PerCPU):
    """Of CPU 0."""

    door = Embedded(Mutex)
    other = Embedded(Mutex)
    inside = Embedded(Completion)
    entered = Embedded(Completion)
    bell = Embedded(Completion)
    worker = TaskRef()
    asked = Word()


def hang_of(m, function, *args):
    with pytest.raises(KernelHang) as told:
        m.run(function, *args)
    return told.value


# -- the deadlocks -----------------------------------------------------------------------


def wants_door(data):
    complete(Room.on(0).inside)
    with Room.on(0).door:       # wants the door
        pass


def parks_behind_door():
    room = Room.on(0)
    with room.door:
        k = kthread_run(wants_door, None, "stubborn/1")
        wait_for_completion(room.inside)
        kthread_park(k)         # parks it


def test_park_under_a_mutex(machine):
    """kthread_park() under a mutex that the thread wants."""
    text = hang_of(machine(2), parks_behind_door).text
    assert "waits for parked of stubborn/1\n" in text
    assert "kthread_park(k)         # parks it" in text
    assert "waits for Room.on(0).door, which parks_behind_do holds" in text
    assert "with room.door:" not in text and "with Room.on(0).door:       # wants the door" in text
    assert "so parks_behind_do waits for itself: the chain is a circle" in text


def takes(first, second, mine, others):
    room = Room.on(0)
    with getattr(room, first):
        complete(getattr(room, mine))
        wait_for_completion(getattr(room, others))
        with getattr(room, second):
            pass


def test_two_mutexes(machine):
    """AB and BA: reported as soon as the circle closes."""
    m = machine(2)
    m.start(takes, "other", "door", "entered", "inside", cpu=1)
    hang = hang_of(m, takes, "door", "other", "inside", "entered")
    assert "takes waits for takes" in hang.text
    m.note_failure_reported()


def waits_for_bell():
    wait_for_completion(Room.on(0).bell)


def test_completion_that_nobody_completes(machine):
    """The completion is named, and the line; the machine goes on."""
    m = machine(2)
    text = hang_of(m, waits_for_bell).text
    assert "waits for Room.on(0).bell; kemu does not know which task is to complete it" in text
    assert "in waits_for_bell\n      wait_for_completion(Room.on(0).bell)" in text
    assert m.run(os.getpid) == m.pids[0]


def stop_of_its_waiter():
    room = Room.on(0)
    with room.door:
        worker = kthread_run(wants_door, None, "worker")
        wait_for_completion(room.inside)
        kthread_stop(worker)


def test_stop_of_a_thread_that_waits_for_its_stopper(machine):
    """The stopper waits for the exit of a thread that waits for the stopper."""
    text = hang_of(machine(2), stop_of_its_waiter).text
    assert "stop_of_its_wai" in text and "waits for exited of worker\n" in text
    assert "which stop_of_its_wai holds" in text
    assert "so stop_of_its_wai waits for itself" in text


def has_work(cpu):
    return Room.on(cpu).asked.load()


def takes_its_cpu_down(cpu):
    Room.on(cpu).asked.store(0)
    cpu_down(cpu)               # of its own


suicide = SmpHotplugThread("suicide/%u", has_work, takes_its_cpu_down)


def asks_for_cpu_down():
    smpboot_register_percpu_thread(suicide)
    Room.on(1).asked.store(1)
    wake_up_process(smpboot_thread(suicide, 1))
    wait_for_completion(Room.on(0).bell)


def test_cpu_down_from_a_thread_of_that_cpu(machine):
    """The teardown parks the thread that waits for the teardown."""
    text = hang_of(machine(2), asks_for_cpu_down).text
    assert "suicide/1 (pid" in text and "cpu_down(cpu)               # of its own" in text
    assert "cpuhp/1 (pid" in text and "waits for parked of suicide/1" in text
    assert "which cpuhp/1 is to complete" in text
    assert "the chain is a circle" in text


# -- what is not a deadlock ---------------------------------------------------------------


def sleeps(ticks):
    schedule_timeout_uninterruptible(ticks)
    return ticks


def test_sleep_on_a_timer(machine):
    """A task that a timer will wake."""
    assert machine(2, hang_after=0.05).run(sleeps, 200) == 200


def prints_and_waits():
    print("ring")
    wait_for_completion(Room.on(0).bell)
    return "rung"


def rings():
    complete(Room.on(0).bell)


def test_wait_for_the_console():
    """The console's line makes another thread of the program act, however late."""
    lines: queue.Queue[str] = queue.Queue()
    with Machine(2, console=lines.put, hang_after=0.05) as m:

        def act():
            lines.get()
            for _ in range(10):
                assert not handle.wait(0.05)
            m.run(rings)

        handle = m.start(prints_and_waits)
        thread = threading.Thread(target=act)
        thread.start()
        assert handle.result() == "rung"
        thread.join()


def test_slow_console_callback():
    """The CPU idles, and the result is under way behind a line that is still in the callback."""
    with Machine(2, console=lambda line: time.sleep(2.5), hang_after=0.05) as m:
        assert m.run(print, "slowly") is None


@pytest.fixture
def stopped():
    """Stop a process, and have another process continue it after that many seconds."""
    others = []

    def stop(pid: int, seconds: float) -> None:
        os.kill(pid, signal.SIGSTOP)
        others.append(subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {pid}"]))

    yield stop
    for other in others:
        other.wait()


@pytest.mark.parametrize("cpu", [0, 1])
def test_stopped_process(machine, stopped, cpu):
    """The process of a CPU is stopped, in the middle of its work or before it."""
    m = machine(2, hang_after=0.05)
    handle = m.start(sleeps, 20, cpu=cpu)
    stopped(m.pids[cpu], 3)
    assert handle.result() == 20


def test_stopped_while_its_cpu_idles(machine, stopped):
    """A process that is stopped might have a result to send: nothing is told until it goes on."""
    m = machine(2, hang_after=0.05)
    waiting = m.start(waits_for_bell, cpu=1)
    while not m.memory.all_blocked():
        pass
    stopped(m.pids[1], 3)
    with pytest.raises(KernelHang):
        waiting.result()
    assert psutil.Process(m.pids[1]).status() != psutil.STATUS_STOPPED


def computes(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return seconds


def test_load(machine):
    """Tasks that compute, beside others that sleep: one wait for each."""
    m = machine(2, hang_after=0.05)
    m.start(waits_for_bell)
    m.start(computes, 0.5, cpu=1)
    assert m.run(computes, 0.5) == 0.5


def test_work_beside_a_task_that_sleeps_for_ever(machine):
    """A task that was only started may sleep without end; only a wait in its result() counts."""
    m = machine(2, hang_after=0.05)
    sleeper = m.start(waits_for_bell)
    assert m.run(sleeps, 30, cpu=1) == 30
    assert not sleeper.wait(0.3)
    with pytest.raises(KernelHang, match=r"waits_for_bell\(\) on CPU 0 can never return"):
        sleeper.result()
    m.run(rings)
    assert sleeper.result() is None


def test_two_threads_that_wait(machine):
    """If both threads wait without a limit, both get the error.  A wait with a limit may still end."""
    m = machine(2, hang_after=0.1)
    told = []

    def waits():
        try:
            m.run(waits_for_bell, cpu=1)
        except KernelHang as hang:
            told.append(hang)

    thread = threading.Thread(target=waits)
    thread.start()
    with pytest.raises(TaskTimeout):
        m.run(waits_for_bell, timeout=1)
    m.run(rings)
    m.run(rings)
    thread.join()
    assert told == []


@pytest.mark.parametrize("off", [0, None])
def test_turned_off(machine, off):
    """A machine that never tells, though the thread that acts looks like one that does not."""
    m = machine(2, hang_after=off)
    handle = m.start(waits_for_bell)

    def rings_late():
        time.sleep(2)       # twice as long as the stillness that is told by default
        m.run(rings, cpu=1)

    thread = threading.Thread(target=rings_late, name="kemu-report")
    thread.start()
    assert handle.result() is None
    thread.join()


@pytest.mark.parametrize("wrong", [-1, True, "1", 0.001, float("nan")])
def test_argument(wrong):
    """A value that is not a number of seconds is refused."""
    with pytest.raises(UsageError, match="hang_after"):
        Machine(1, hang_after=wrong)
