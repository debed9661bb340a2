"""The rows as Celery does them: `delay` with confirms and a lock in Redis, a worker of two processes that acks late.

Without arguments it reads what to do from stdin, one line of JSON each, and answers in kind; timing is in here. Its
worker imports this module as well.
"""

import json
import os
import subprocess
import sys
import time
import traceback

import redis
from celery import Celery

QUEUE = "solotask-bench-celery"
HELD = 60 * 60 * 1000  # ms that a key is held
PROCESSES = 2
PATIENCE = 120  # seconds

app = Celery("bench", broker=os.environ["BENCH_AMQP"])
app.conf.update(
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_ignore_result=True,
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=100 // PROCESSES,
)
locks = redis.Redis.from_url(os.environ["BENCH_REDIS"])
runs = None


def record(i):
    """A line for each run; lines of several processes do not mix."""
    global runs
    if runs is None:
        runs = os.open(os.environ["BENCH_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(runs, b"%d %.6f\n" % (i, time.monotonic()))


def key_of(i):
    return f"{QUEUE}:{i}"


@app.task(name="bench.plain")
def plain(i):
    record(i)


@app.task(name="bench.unique")
def unique(i):
    record(i)
    locks.delete(key_of(i))


def open_queue():
    with app.connection_for_write() as connection:
        queue = app.amqp.queues[QUEUE](connection.default_channel)
        queue.declare()
        queue.purge()


def enqueue(method, first, operations):
    begin = time.monotonic()
    for i in range(first, first + operations):
        if method == "plain":
            plain.delay(i)
        elif locks.set(key_of(i), "x", nx=True, px=HELD):
            unique.delay(i)
        else:
            raise RuntimeError(f"the key {i} was taken")
    return {"value": operations / (time.monotonic() - begin)}


def wait_for_lines(path, count, worker):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and worker.poll() is None:
        if os.path.exists(path):
            with open(path, "rb") as file:
                lines = file.read().splitlines()
            if len(lines) >= count:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the worker did not run {count} tasks within {PATIENCE} s")


def work(first, operations):
    path = os.environ["BENCH_RUNS"]
    if os.path.exists(path):
        os.remove(path)
    options = ["-c", str(PROCESSES), "-Q", QUEUE, "-l", "ERROR", "--without-gossip", "--without-mingle"]
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "celery_peer", "worker", *options]
    with open(path + ".log", "w+") as log:
        worker = subprocess.Popen(command, cwd=os.path.dirname(os.path.abspath(__file__)), stdout=log, stderr=log)
        try:
            wait_for_lines(path, operations, worker)
        except RuntimeError as error:
            log.seek(0)
            raise RuntimeError(f"{error}: {log.read()[-2000:]}") from error
        finally:
            worker.terminate()
            worker.wait()
    with open(path) as file:
        lines = [line.split() for line in file]
    if sorted(int(i) for i, _ in lines) != list(range(first, first + operations)):
        raise RuntimeError(f"{len(lines)} runs of {operations} tasks, and not one of each")
    times = [float(at) for _, at in lines]
    return {"value": operations / (max(times) - min(times))}


def close():
    with app.connection_for_write() as connection:
        app.amqp.queues[QUEUE](connection.default_channel).delete()


METHODS = {"open": open_queue, "enqueue": enqueue, "work": work, "close": close}


def main():
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"result": METHODS[asked["method"]](**asked.get("args", {}))}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
