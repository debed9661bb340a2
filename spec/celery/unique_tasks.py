"""Unique tasks for the specs, by samples/celery: their bodies tell Redis what they run with, and wait for a token."""
import json
import os
import sys
from datetime import datetime
from inspect import Parameter, Signature
from pathlib import Path

import redis
from celery import Celery
from kombu import Queue

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "samples" / "celery"))
from solotask_celery import UniqueTask, install, run  # noqa: E402
from solotask_celery.keys import Key  # noqa: E402

REDIS = os.environ["SPEC_REDIS"]
QUEUE = os.environ["SPEC_QUEUE"]

app = Celery("spec", broker=os.environ["SPEC_BROKER"], backend=REDIS)
app.conf.update(task_default_queue=QUEUE, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)
locks = install(app, redis=REDIS, namespace=os.environ["SPEC_NAMESPACE"])
book = redis.Redis.from_url(REDIS)


class Told(UniqueTask):
    """Short leases, so that specs which kill a worker do not wait for long."""

    abstract = True
    lock_lease = 2.0


def tell(event, task, *args):
    """One line of the spec's book."""
    line = {"by": "python", "event": event, "id": task.request.id, "args": args, "fence": task.fence}
    book.rpush(f"spec:{QUEUE}:told", json.dumps(line))


def gate(task, *args):
    """A body: tells of its begin, waits for a token while it has its lease, tells of its end."""
    tell("begin", task, *args)
    while not book.blpop(f"spec:{QUEUE}:gate:{args[0]}", timeout=1):
        if task.lease_lost.is_set():
            return tell("lost", task, *args)
    tell("end", task, *args)
    return list(args)


@app.task(base=Told, bind=True, name="loans.discard", unique="loan:<loan_id>")
def discard(self, loan_id, rate=None):
    return gate(self, loan_id, rate)


@app.task(base=Told, bind=True, name="loans.coalesce", unique="loan:<loan_id>", on_duplicate="coalesce")
def coalesce(self, loan_id, rate=None):
    return gate(self, loan_id, rate)


@app.task(base=Told, bind=True, name="loans.compute", should_compute="loan:<loan_id>")
def compute(self, loan_id, rate=None):
    return gate(self, loan_id, rate)


@app.task(base=Told, bind=True, name="loans.failing", unique="loan:<loan_id>", max_retries=1)
def failing(self, loan_id, rate=None):
    gate(self, loan_id, rate)
    if self.request.retries == 0:
        raise self.retry(countdown=rate or 0)
    raise ValueError("no such loan")


# How many bodies one delivery may have, beside the first.
if "SPEC_RERUNS" in os.environ:
    run.MOST_RERUNS = int(os.environ["SPEC_RERUNS"])

# Where it runs, nobody knows it.
if os.environ.get("SPEC_UNKNOWN"):
    app.tasks.unregister("loans.discard")


def key(template, names, args):
    """The key of arguments with these names."""
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    return Key(template, Signature(parameters), "spec")(args, {})


def float_key(text):
    return key("n:<a>", ["a"], [float(text)])


def moment_key(text):
    return key("at:<a>", ["a"], [datetime.fromisoformat(text)])


def enqueue(task, args=None, options=None):
    """A unique task; gives what its caller is told."""
    result = app.tasks[task].apply_async(args, **(options or {}))
    return {"id": result.id, "status": result.receipt}


def enqueue_nowhere(task, args):
    """To a queue that is not there, and that nobody declares."""
    app.amqp.queues.add(Queue("nowhere", no_declare=True))
    return enqueue(task, args, {"queue": "nowhere"})


def revoke(id):
    app.control.revoke(id)


COMMANDS = {f.__name__: f for f in (key, float_key, moment_key, enqueue, enqueue_nowhere, revoke)}
