"""A call that hangs is left behind; the others run, each once, in order."""

import threading
import time

from safetytwin.collectors.worker import Task, Worker


def test_tasks_run_in_order_in_one_thread() -> None:
    worker, seen = Worker(), []
    tasks = [Task(lambda n=n: seen.append((n, threading.get_ident())), 5.0) for n in range(20)]
    worker.run(tasks)
    worker.close()
    assert [number for number, _ in seen] == list(range(20))
    assert len({thread for _, thread in seen}) == 1
    assert all(task.finished.is_set() and task.duration is not None for task in tasks)


def test_an_exception_is_kept_and_the_rest_goes_on() -> None:
    worker = Worker()

    def fail() -> None:
        raise ValueError("broken")

    tasks = [Task(fail, 5.0), Task(lambda: 7, 5.0)]
    worker.run(tasks)
    worker.close()
    assert str(tasks[0].error) == "broken"
    assert tasks[1].result == 7


def test_one_that_hangs_is_left_behind_and_the_rest_runs_once() -> None:
    worker, release, calls = Worker(), threading.Event(), []

    def hang() -> str:
        release.wait(60)
        return "late"

    tasks = [Task(lambda: calls.append("before"), 5.0), Task(hang, 0.2), Task(lambda: calls.append("after"), 5.0)]
    worker.run(tasks)
    assert calls == ["before", "after"]
    assert not tasks[1].finished.is_set()
    release.set()
    assert tasks[1].finished.wait(10)
    assert tasks[1].result == "late"
    # Its thread has nothing more to do: it must not run what another thread has run.
    time.sleep(0.05)
    assert calls == ["before", "after"]
    worker.run([Task(lambda: calls.append("again"), 5.0)])
    worker.close()
    assert calls == ["before", "after", "again"]


def test_many_that_hang_cost_one_deadline_each() -> None:
    worker, release = Worker(), threading.Event()
    tasks = [Task(lambda: release.wait(60), 0.05) for _ in range(5)]
    worker.run([*tasks, Task(lambda: 1, 5.0)])
    assert not any(task.finished.is_set() for task in tasks)
    release.set()
    assert all(task.finished.wait(10) for task in tasks)
    worker.close()


def test_one_with_little_time_is_left_behind_early_though_one_before_it_had_much() -> None:
    worker, release = Worker(), threading.Event()
    patient, hasty = Task(lambda: time.sleep(0.1), 3600.0), Task(lambda: release.wait(60), 0.2)
    worker.run([patient, hasty, Task(lambda: 1, 3600.0)])
    assert patient.finished.is_set()
    assert not hasty.finished.is_set()
    release.set()
    assert hasty.finished.wait(10)
    worker.close()
