"""The two recipes of "Running Unique tasks in celery", on solotask's locks. Run beside RabbitMQ and Redis:

    celery -A recipes worker --queues loans
    python -c 'import recipes; recipes.recompute.delay(42)'
"""
import os
import time

from celery import Celery

from solotask_celery import UniqueTask, install

app = Celery('loans', broker=os.environ.get('AMQP_URL', 'amqp://'))
app.conf.task_default_queue = 'loans'
install(app, redis=os.environ.get('REDIS_URL', 'redis://'), namespace='loans')


def amortise(task, loan_id):
    """Stands for work that is worth doing once. Write what it gives under the fence: `… WHERE fence < %(fence)s`."""
    time.sleep(1)
    return {'loan': loan_id, 'fence': task.fence}


# The first: a duplicate is found at enqueue. What changes during the run is not lost: one more run sees it.
# In Django: transaction.on_commit(lambda: recompute.delay(loan_id))
@app.task(base=UniqueTask, bind=True, unique='loan:<loan_id>', on_duplicate='coalesce')
def recompute(self, loan_id):
    return amortise(self, loan_id)


# The second, `should_compute`: every message goes out, and the worker runs one of a key at a time.
@app.task(base=UniqueTask, bind=True, should_compute='loan:<loan_id>')
def recompute_once(self, loan_id):
    return amortise(self, loan_id)
