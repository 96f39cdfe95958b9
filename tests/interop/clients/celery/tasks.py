"""The application: its tasks, and the queues that its worker takes them from. Broker and folder come from the environment."""

import os
import pathlib
import time

from celery import Celery
from celery.exceptions import Reject
from kombu import Exchange, Queue

FOLDER = pathlib.Path(os.environ["CELERY_FOLDER"])
dead = Exchange("dead", "fanout")

app = Celery("interop", broker=os.environ["CELERY_BROKER"], backend=f"file://{FOLDER}")
app.conf.update(
    task_queues=[
        Queue("celery", Exchange("celery"), "celery"),
        Queue("important", Exchange("important"), "important", max_priority=10, queue_arguments={"x-dead-letter-exchange": "dead"}),
    ],
    worker_prefetch_multiplier=1, task_acks_late=True, broker_connection_retry_on_startup=False, broker_heartbeat=2,
    worker_hijack_root_logger=False, result_chord_retry_interval=0.1)


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def third_time(self):
    """Fails twice."""
    if self.request.retries < 2:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task(bind=True, max_retries=1)
def never(self):
    """Fails always."""
    raise self.retry(countdown=0.01, exc=ValueError("never"))


@app.task
def write(line):
    with open(FOLDER / "lines", "a", encoding="utf-8") as lines:
        lines.write(f"{line}\n")


@app.task
def hold():
    """Keeps the worker until it is let go."""
    while not (FOLDER / "go").exists():
        time.sleep(0.01)


@app.task
def reject():
    raise Reject("not today", requeue=False)
