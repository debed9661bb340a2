"""A Celery client that is told what to do in lines of JSON, and answers in lines of JSON; ends with its input.

`{"n": 1, "do": "send", ...}` is answered by `{"n": 1, "value": ...}` or `{"n": 1, "error": {"type": ..., "message": ...}}`.
"""
import json
import os
import sys
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from importlib import import_module

from celery import canvas
from celery.result import AsyncResult
from kombu import Queue

module = import_module(os.environ.get("SPEC_MODULE", "tasks"))
app = module.app


def moment(text):
    """A time as the spec wrote it, with or without an offset."""
    return datetime.fromisoformat(text) if isinstance(text, str) else text


def options_of(options):
    """What JSON cannot carry as Python objects: times, and signatures by the name of a task."""
    for name in ("eta", "expires"):
        if name in options:
            options[name] = moment(options[name])
    for name in ("link", "link_error"):
        if name in options:
            options[name] = app.signature(options[name], args=[])
    return options


def send(task, args=None, kwargs=None, options=None, python=None):
    """A task by name, whoever runs it; gives its id. `python`: its arguments as JSON cannot say them."""
    args = eval(python) if python else args
    return app.send_task(task, args, kwargs, **options_of(options or {})).id


def call(task, how, args=None, kwargs=None, options=None):
    """A declared task by `delay` or `apply_async`; gives its id."""
    declared = app.tasks[task]
    if how == "delay":
        return declared.delay(*(args or []), **(kwargs or {})).id
    return declared.apply_async(args, kwargs, **options_of(options or {})).id


def send_v1(task, args):
    """A task by Celery's first message protocol; gives its id."""
    id = str(uuid.uuid4())
    with app.producer_pool.acquire(block=True) as producer:
        app.amqp.send_task_message(producer, task, app.amqp.as_task_v1(id, task, args=args), queue=os.environ["SPEC_QUEUE"])
    return id


def group(first, second, queue):
    """Two tasks of one group; gives their ids."""
    both = canvas.group(app.signature(each, args=[1]) for each in (first, second))
    return [one.id for one in both.apply_async(queue=queue)]


def chord(first, second, queue):
    """A task, and another one that waits for it."""
    return canvas.chord([app.signature(first, args=[1])], app.signature(second)).apply_async(queue=queue).id


def chain(first, second, queue):
    """Two tasks, the second with the result of the first."""
    steps = app.signature(first, args=[1]) | app.signature(second)
    return steps.apply_async(queue=queue).id


def declare(queue):
    """A queue as a Celery worker declares it."""
    with app.connection_for_write() as connection:
        app.amqp.queues.select_add(queue)
        app.amqp.queues[queue](connection.default_channel).declare()


def somebody(*args, **kwargs):
    """The body is elsewhere."""


def call_any(task, how, args=None, kwargs=None, options=None):
    """A task that somebody else runs, by `delay` or `apply_async` of a declaration without a body; gives its id."""
    if task not in app.tasks:
        app.task(somebody, name=task, shared=False)
    return call(task, how, args, kwargs, options)


def borrow(queue):
    """From now on this queue is somebody else's: published to, and never declared."""
    app.amqp.queues.add(Queue(queue, no_declare=True))


def get(id, timeout=20):
    """What `AsyncResult.get()` gives, or what it raises."""
    return AsyncResult(id, app=app).get(timeout=timeout)


def state(id):
    """The state of a result, and what it holds."""
    result = AsyncResult(id, app=app)
    return {"state": result.state, "traceback": result.traceback, "result": repr(result.result)}


def inspect(what, timeout=3):
    """The answers to a broadcast, by worker."""
    return getattr(app.control.inspect(timeout=timeout), what)()


def broadcast(method, destination=None, pattern=None, matcher=None, timeout=0.7):
    """The answers to any command, by worker."""
    limits = {"destination": destination or None, "pattern": pattern, "matcher": matcher}
    replies = app.control.broadcast(method, reply=True, timeout=timeout, **limits)
    return {node: answer for reply in replies or [] for node, answer in reply.items()}


def utc(seconds=0, naive=True):
    """Now and some seconds, as `isoformat()` writes it."""
    now = datetime.utcnow() + timedelta(seconds=seconds)
    return now.isoformat() if naive else now.isoformat() + "+00:00"


COMMANDS = {f.__name__: f for f in (send, call, chain, declare, get, state, inspect, broadcast, utc)}


def details(id):
    """When a task ended, and the tasks that it began."""
    result = AsyncResult(id, app=app)
    return {"date": result.date_done.isoformat(), "children": result.children}


def revoke(id):
    """Withdraws a task from all workers."""
    app.control.revoke(id)


COMMANDS.update({f.__name__: f for f in (send_v1, group, chord, call_any, borrow, details, revoke)})
COMMANDS.update(getattr(module, "COMMANDS", {}))


def answer(line):
    """One command, done."""
    wish = json.loads(line)
    n, name = wish.pop("n"), wish.pop("do")
    try:
        return {"n": n, "value": COMMANDS[name](**wish)}
    except Exception as error:  # noqa: whatever it is, the spec judges it
        kind = type(error)
        return {"n": n, "error": {"type": kind.__name__, "module": kind.__module__, "message": str(error)}}


print(json.dumps({"n": 0, "value": "ready"}), flush=True)
for each in sys.stdin:
    print(json.dumps(answer(each), default=repr), flush=True)
