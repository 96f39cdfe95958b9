"""Celery with a worker process of its own: tasks, retries, chords, priorities, remote control."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import checks
from checks import DEADLINE, OPEN

folder = tempfile.TemporaryDirectory()
os.environ["CELERY_FOLDER"] = folder.name
os.environ["CELERY_BROKER"] = f"amqp://guest:guest@{OPEN}//"
here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here))

import tasks  # noqa: E402, needs the environment
from celery import Celery, chain, chord, group  # noqa: E402

worker = None


def until(holds):
    while not (found := holds()):
        time.sleep(0.01)
    return found


def start():
    """a worker starts, and answers a ping"""
    global worker
    command = [sys.executable, "-m", "celery", "--app", "tasks", "worker", "--concurrency", "1", "--loglevel", "INFO",
               "--hostname", "one@here", "--without-mingle"]
    worker = subprocess.Popen(command, cwd=here)
    until(lambda: tasks.app.control.ping(timeout=0.5) == [{"one@here": {"ok": "pong"}}])


def result():
    """a task and its result"""
    assert tasks.add.delay(2, 3).get(DEADLINE, interval=0.01) == 5


def result_by_message():
    """a result by a message to a queue of the caller's (rpc)"""
    # The backend is the caller's and the worker's: a worker of this one answers by messages.
    app = Celery("by-message", broker=os.environ["CELERY_BROKER"], backend="rpc://")

    @app.task(name="by.message")
    def twice(number):
        return 2 * number

    from celery.contrib.testing.worker import start_worker
    app.conf.task_default_queue = "by-message"
    app.conf.worker_hijack_root_logger = False
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=DEADLINE):
        assert [twice.delay(number).get(DEADLINE) for number in (1, 2, 3)] == [2, 4, 6]


def retried():
    """a task that is retried with a countdown"""
    assert tasks.third_time.delay().get(DEADLINE, interval=0.01) == 2


def retried_in_vain():
    """a task that fails for good"""
    try:
        tasks.never.delay().get(DEADLINE, interval=0.01)
    except ValueError as why:
        assert str(why) == "never"
    else:
        raise AssertionError("it succeeded")


def eta():
    """a countdown is waited for"""
    began = time.time()
    assert tasks.add.apply_async((1, 1), countdown=0.3).get(DEADLINE, interval=0.01) == 2
    assert time.time() - began >= 0.3


def expired():
    """a task that is too late is revoked"""
    answer = tasks.add.apply_async((1, 1), expires=-1)
    until(lambda: answer.state == "REVOKED")


def canvas():
    """group, chain and chord"""
    assert group(tasks.add.s(n, n) for n in range(5)).delay().get(DEADLINE, interval=0.01) == [0, 2, 4, 6, 8]
    assert chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4)).delay().get(DEADLINE, interval=0.01) == 10
    assert chord((tasks.add.s(n, n) for n in range(5)), tasks.total.s()).delay().get(DEADLINE, interval=0.01) == 20


def priorities():
    """the highest priority first"""
    held = tasks.hold.apply_async(queue="important")
    until(lambda: [task["id"] for task in (tasks.app.control.inspect(timeout=0.5).active() or {}).get("one@here", [])] == [held.id])
    for priority in (1, 9, 0, 5, 9):
        tasks.write.apply_async((priority,), queue="important", priority=priority)
    last = tasks.write.apply_async(("last",), queue="important", priority=0)
    (tasks.FOLDER / "go").touch()
    last.get(DEADLINE, interval=0.01)
    assert (tasks.FOLDER / "lines").read_text().split() == ["9", "9", "5", "1", "0", "last"]


def dead_letter():
    """a rejected task is a dead letter"""
    with tasks.app.connection() as connection, connection.channel() as channel:
        queue = channel.queue_declare("", exclusive=True).queue
        channel.exchange_declare("dead", "fanout", durable=True, auto_delete=False)
        channel.queue_bind(queue, "dead")
        task = tasks.reject.apply_async(queue="important")
        message = until(lambda: channel.basic_get(queue, no_ack=True))
        assert message.headers["id"] == task.id, message.headers
        death, = message.headers["x-death"]
        assert (death["reason"], death["queue"], death["count"]) == ("rejected", "important", 1), death


def inspected():
    """remote control: what a worker does, and changing it"""
    inspect = tasks.app.control.inspect(["one@here"], timeout=2)
    queues = {queue["name"] for queue in inspect.active_queues()["one@here"]}
    assert queues == {"celery", "important"}, queues
    assert "tasks.add" in inspect.registered()["one@here"]
    control = tasks.app.control
    assert "ok" in control.add_consumer("later", destination=["one@here"], reply=True, timeout=2)[0]["one@here"]
    assert tasks.add.apply_async((1, 2), queue="later").get(DEADLINE, interval=0.01) == 3
    assert "ok" in control.cancel_consumer("later", destination=["one@here"], reply=True, timeout=2)[0]["one@here"]


def revoked():
    """remote control: a task is revoked before it begins"""
    task = tasks.write.apply_async(("never",), countdown=60)
    task.revoke()
    tasks.app.control.ping(timeout=0.5)
    late = tasks.write.apply_async(("never",), task_id=task.id)
    until(lambda: late.state == "REVOKED")
    assert "never" not in (tasks.FOLDER / "lines").read_text()


def heartbeats():
    """a worker that waits keeps its connection"""
    time.sleep(5)  # two heartbeats of 2 s that are missed would end it
    assert tasks.add.delay(4, 5).get(DEADLINE, interval=0.01) == 9
    assert worker.poll() is None


def stop():
    """remote control: a worker shuts down"""
    tasks.app.control.shutdown()
    assert worker.wait(DEADLINE) == 0


try:
    checks.run(start, result, result_by_message, retried, retried_in_vain, eta, expired, canvas, priorities, dead_letter,
               inspected, heartbeats, revoked, stop)
finally:
    folder.cleanup()
