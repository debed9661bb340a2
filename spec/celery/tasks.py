"""A Celery app for the specs: what its tasks were called with is told to a list in Redis, one JSON text a run."""
import json
import os
import time

import redis
from celery import Celery

BROKER = os.environ["SPEC_BROKER"]
REDIS = os.environ["SPEC_REDIS"]
QUEUE = os.environ["SPEC_QUEUE"]

app = Celery("spec", broker=BROKER, backend=REDIS)
app.conf.update(
    task_default_queue=QUEUE,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    result_extended=False,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    accept_content=["json"],
)
# Headers that specs send.
OWN = ("tenant", "count", "minus", "ms", "back", "share", "flag", "nothing")
book = redis.Redis.from_url(REDIS)


def tell(task, args, kwargs):
    """Writes down a run, with what the message said of it."""
    request = task.request
    book.rpush(
        f"spec:{QUEUE}:runs",
        json.dumps(
            {
                "task": task.name,
                "id": request.id,
                "args": list(args),
                "kwargs": kwargs,
                "retries": request.retries,
                "eta": request.eta,
                "expires": request.expires,
                "timelimit": request.timelimit,
                "priority": request.delivery_info.get("priority"),
                "redelivered": request.delivery_info.get("redelivered"),
                "rootId": request.root_id,
                "parentId": request.parent_id,
                "correlationId": request.correlation_id,
                "own": {name: request.get(name) for name in OWN},
                "at": time.time() * 1000,
            }
        ),
    )


@app.task(bind=True, name="spec.echo")
def echo(self, *args, **kwargs):
    """Returns what it was given."""
    tell(self, args, kwargs)
    return {"args": list(args), "kwargs": kwargs}


@app.task(bind=True, name="spec.add")
def add(self, a, b=0):
    """For arguments by name."""
    tell(self, (a, b), {})
    return a + b


@app.task(bind=True, name="spec.fail")
def fail(self, *args):
    """Raises."""
    tell(self, args, {})
    raise ValueError(*args)


@app.task(bind=True, name="spec.again", max_retries=2)
def again(self, *args):
    """Fails twice, then returns how often it was tried."""
    tell(self, args, {})
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries + 1


@app.task(bind=True, name="spec.over", max_retries=2)
def over(self, queue, *args):
    """Leaves its next try to whoever consumes `queue`."""
    tell(self, args, {})
    raise self.retry(args=args, countdown=1, queue=queue)
