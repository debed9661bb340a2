"""The Python half of the mixed run: a producer and a worker of one task, beside ours. Every step goes to one list."""
import json
import os
import random
import sys
import time
from pathlib import Path

import redis
from celery import Celery

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "samples" / "celery"))
from solotask_celery import UniqueTask, install  # noqa: E402

REDIS = os.environ["SPEC_REDIS"]
QUEUE = os.environ["SPEC_QUEUE"]
BY = os.environ.get("SPEC_BY", "python")

app = Celery("mixed", broker=os.environ["SPEC_BROKER"])
app.conf.update(task_default_queue=QUEUE, worker_prefetch_multiplier=1, task_ignore_result=True)
install(app, redis=REDIS, namespace=os.environ["SPEC_NAMESPACE"])
book = redis.Redis.from_url(REDIS)
write = book.register_script(os.environ["SPEC_WRITE"])


def tell(**line):
    book.rpush(f"mixed:{QUEUE}:steps", json.dumps(dict(line, by=BY)))


@app.task(base=UniqueTask, bind=True, name="mixed.recompute", unique="account:<account>", on_duplicate="coalesce")
def recompute(self, account, version):
    """Computes from what it finds, takes a while, and writes under its fence."""
    seen = int(book.get(f"mixed:{QUEUE}:version:{account}"))
    tell(event="begin", account=account, version=version, seen=seen, fence=self.fence)
    time.sleep(random.random() * 0.02)
    write(keys=[f"mixed:{QUEUE}:result:{account}"], args=[self.fence, seen])
    tell(event="end", account=account, fence=self.fence)


recompute.lock_lease = 3.0


def produce(accounts, count):
    """Changes some account and says so, `count` times."""
    for _ in range(count):
        account = random.choice(accounts)
        version = book.incr(f"mixed:{QUEUE}:version:{account}")
        tell(event="called", account=account, version=version)
        receipt = recompute.delay(account, version).receipt
        tell(event="returned", account=account, version=version, receipt=receipt)
    return count


COMMANDS = {"produce": produce}
