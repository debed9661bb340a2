"""What makes a Celery app part of a lock space."""
from celery import signals
from celery.utils.log import get_logger

from .locks import MEMORY, Locks, insist
from .run import settle

logger = get_logger(__name__)


def install(app, redis, namespace='solotask', scripts=None, memory=MEMORY):
    """Gives `app` the locks of a namespace. Call it after the app is configured, in producers and workers alike.

    `redis` is the URL of the one Redis that has the locks; `scripts` the folder of solotask's Lua files.
    """
    locks = app.solotask = Locks(redis, namespace, scripts, memory)
    # Without confirms an enqueue would return before the broker has the message.
    app.conf.broker_transport_options = dict(app.conf.broker_transport_options or {}, confirm_publish=True)

    def ended(task=None, state=None, **_):
        if task is not None and task.app is app:
            settle(task, state)

    def dropped(sender=None, message=None, **_):
        if getattr(sender, 'app', None) is app:
            drop(locks, message.headers or {})

    # After the result was stored, whatever the task's own hooks do.
    signals.task_postrun.connect(ended, weak=False)
    # Celery has no dead letters: these messages are gone, and must not keep their keys.
    signals.task_unknown.connect(dropped, weak=False)
    signals.task_rejected.connect(dropped, weak=False)
    return locks


def drop(locks, headers):
    """Frees the key of a message that will never run, if it is that message's own."""
    task, owner, key = headers.get('task'), headers.get('id'), headers.get('lock_key')
    if not (task and owner and key):
        return
    record = locks.record(task, key)
    answer = insist(lambda: locks.drop(record, owner))
    if answer.outcome == 'ok' and locks.kept(record):
        logger.warning('%s[%s] will not run, but a duplicate has left its arguments with the key %s', task, owner, key)
