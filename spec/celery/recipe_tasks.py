"""samples/celery/recipes.py for the specs: bodies that wait for tokens, and producers that die."""
import os

os.environ["AMQP_URL"], os.environ["REDIS_URL"] = os.environ["SPEC_BROKER"], os.environ["SPEC_REDIS"]
import unique_tasks  # noqa: E402

import recipes  # noqa: E402
from celery import signals  # noqa: E402
from solotask_celery import install, producer  # noqa: E402

app = recipes.app
app.conf.update(task_default_queue=unique_tasks.QUEUE, worker_prefetch_multiplier=1)
app.conf.update(broker_connection_retry_on_startup=True)
install(app, redis=unique_tasks.REDIS, namespace=os.environ["SPEC_NAMESPACE"])
recipes.amortise = unique_tasks.gate
for task in (recipes.recompute, recipes.recompute_once):
    task.lock_lease = 2.0
    task.lock_ttl = 1.0
producer.PUBLISH_TIMEOUT = float(os.environ.get("SPEC_PUBLISH_TIMEOUT", "10"))


def enqueue(task, args=None):
    result = app.tasks[task].apply_async(args)
    return {"id": result.id, "status": result.receipt}


def die_publishing():
    """The next enqueue ends its process between the lock and the message."""
    signals.before_task_publish.connect(lambda **_: os._exit(9), weak=False)


COMMANDS = {"enqueue": enqueue, "die_publishing": die_publishing}
