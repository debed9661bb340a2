"""What Flower is made of: Celery's Receiver and State. Prints every event; answers each line of input with the state."""
import json
import os
import sys
import threading

from celery import Celery
from celery.events.state import State

app = Celery("monitor", broker=os.environ["SPEC_BROKER"])
state = State()
lock = threading.Lock()
TASK = ("name", "state", "args", "kwargs", "result", "runtime", "exception", "traceback", "retries", "root_id", "parent_id")


def say(value):
    """One line, from whichever thread."""
    with lock:
        print(json.dumps(value, default=repr), flush=True)


def hear(event):
    """One event, after the state took it."""
    state.event(event)
    say({"event": event["type"], **event})


def watch():
    """Until the process ends."""
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": hear})
        say({"event": "watching"})
        receiver.capture(limit=None, timeout=None, wakeup=True)


def workers():
    """Every worker that was heard of."""
    for name, worker in state.workers.items():
        yield name, {"alive": worker.alive, "status": worker.status_string, "active": worker.active,
                     "processed": worker.processed, "ident": worker.sw_ident, "freq": worker.freq, "pid": worker.pid}


def tasks():
    """Every task that was heard of."""
    for uuid, task in state.tasks.items():
        yield uuid, {**{field: getattr(task, field) for field in TASK}, "worker": task.worker and task.worker.hostname}


threading.Thread(target=watch, daemon=True).start()
for _ in sys.stdin:
    say({"event": "state", "workers": dict(workers()), "tasks": dict(tasks())})
