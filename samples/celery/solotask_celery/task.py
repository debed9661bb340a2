"""The base class of unique tasks."""
import inspect
import time
from datetime import datetime, timedelta, timezone
from functools import cached_property

from celery import Task
from celery.exceptions import Ignore, ImproperlyConfigured, Reject, Retry
from celery.utils.log import get_logger
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.utils.uuid import uuid

from . import producer as half
from .keys import Key
from .locks import insist
from .run import Run, offer_of

logger = get_logger(__name__)


def moment(value):
    """Seconds from now, a datetime or its ISO text as an aware datetime."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return datetime.now(timezone.utc) + timedelta(seconds=value)
    return maybe_make_aware(maybe_iso8601(value))


class UniqueTask(Task):
    """A task that runs once at a time for each key, in solotask's lock space.

    `unique` decides at enqueue and on the worker, `should_compute` on the worker alone; either is a key template of
    the task's parameters, such as ``'loan:<loan_id>'``, or a function of them. A duplicate is dropped (`discard`), or
    leaves its arguments for one more run (`coalesce`).

    In the body, `self.fence` guards a write, and `self.lease_lost` is an Event: set, the run counts for nothing.
    """

    abstract = True
    Request = 'solotask_celery.request:UniqueRequest'

    unique = None
    should_compute = None
    on_duplicate = 'discard'
    #: Seconds a message that got lost may block its key; the delay of a call is added.
    lock_ttl = 600.0
    #: Seconds a run that gives no sign of life keeps its key.
    lock_lease = 15.0

    # A message that was acknowledged before its body ended cannot come back.
    acks_late = True
    reject_on_worker_lost = True

    @classmethod
    def on_bound(cls, app):
        source = cls.unique or cls.should_compute
        if not source or (cls.unique and cls.should_compute):
            raise ImproperlyConfigured(f'{cls.name}: give a UniqueTask either unique or should_compute')
        if cls.on_duplicate not in ('discard', 'coalesce'):
            raise ImproperlyConfigured(f"{cls.name}: on_duplicate is 'discard' or 'coalesce', not {cls.on_duplicate!r}")
        if not cls.acks_late:
            raise ImproperlyConfigured(f'{cls.name}: a UniqueTask needs acks_late')
        signature = inspect.signature(cls.run)
        if not isinstance(inspect.getattr_static(cls, 'run'), staticmethod):
            signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        cls.key_of = staticmethod(lambda args, kwargs, key=Key(source, signature, cls.name): key(args, kwargs))

    @property
    def locks(self):
        """The lock space of the app."""
        locks = getattr(self.app, 'solotask', None)
        if locks is None:
            raise ImproperlyConfigured('call solotask_celery.install(app, redis=…) before unique tasks are used')
        return locks

    @property
    def lock_mode(self):
        """Who decides on duplicates, as messages say it."""
        return 'enqueue' if self.unique else 'worker'

    @property
    def fence(self):
        """Larger for each run of the key: guard your write with it (`… WHERE fence < %s`). None outside a worker."""
        run = self.request.get('solotask')
        return run and run.fence

    @property
    def lease_lost(self):
        """An Event; set when another worker may run this key. None outside a worker."""
        run = self.request.get('solotask')
        return run and run.lost

    def __call__(self, *args, **kwargs):
        request = self.request
        if request.called_directly or request.is_eager or request.get('solotask') is not None:
            return super().__call__(*args, **kwargs)
        run = Run(self, request, args, kwargs)
        run.take_key()
        request.solotask = run
        try:
            value = self._bodies(run)
        except Retry:
            # Without a copy on its way there is nobody to hold the key for.
            run.finish(dead=True)
            raise
        except Reject as rejection:
            if rejection.requeue:
                run.abandon()
            else:
                run.finish(dead=True)
            raise
        except Ignore:
            run.finish()
            raise
        except Exception as error:
            if self._lost(run):
                run.give_back(f'its lease was lost, and its body raised {error!r}')
            raise
        if self._lost(run):
            run.give_back('its lease was lost during the body')
        return value

    def _bodies(self, run):
        """The body, and once more for each time that newer arguments came meanwhile."""
        while True:
            self.request.update(args=run.args, kwargs=run.kwargs)
            try:
                value = self.run(*run.args, **run.kwargs)
            except (Retry, Reject, Ignore):
                raise
            except Exception:
                if not run.again():
                    raise
                logger.exception('%s[%s] failed, and runs again with newer arguments', self.name, run.owner)
            else:
                if not run.again():
                    return value
            self.request.retries = 0

    def _lost(self, run):
        return run.state == 'running' and not run.lease.check()

    def apply_async(self, args=None, kwargs=None, task_id=None, producer=None, **options):
        """As Celery's. The result of a duplicate is its holder's, and `result.receipt` says so: `enqueued`,
        `discarded` or `coalesced`.

        Raises `LockUnavailable` and `DuplicateUndecided`, and then nothing was published; `UniqueKeyError` for
        arguments that give no key; kombu's `OperationalError` when the broker did not say whether it has the message.
        """
        if self.app.conf.task_always_eager:
            return super().apply_async(args, kwargs, task_id=task_id, producer=producer, **options)
        call = Call(self, args, kwargs, task_id, options)
        run = self.request.get('solotask')
        follows = run is not None and run.owner == task_id
        if not follows:
            call.check()
        with self.app.producer_or_acquire(producer) as channel:
            if follows:
                return self._follow(run, call, channel)
            half.reach(channel, call.deadline)
            if self.unique:
                return self._enqueue(call, channel)
            fence = self.locks.fences.next() if self.on_duplicate == 'coalesce' else None
            return call.publish(channel, fence)

    def retry(self, *args, **options):
        """As Celery's. When the retry cannot be published, the message itself goes back: a retry is not to be lost."""
        try:
            return super().retry(*args, **options)
        except Reject as rejection:
            raise Reject(rejection.reason, requeue=True) from rejection

    def publish_copy(self, run):
        """The message once more, with the arguments of the run, from attempt 1 on: for arguments that came too late."""
        request = self.request
        options = dict(request.as_execution_options(), retries=0, chord=None, expires=None)
        options['queue'] = (request.delivery_info or {}).get('routing_key')
        call = Call(self, run.args, run.kwargs, run.owner, options)
        with self.app.producer_or_acquire(None) as channel:
            return call.publish(channel, run.seq, (run.key, run.mode))

    def _enqueue(self, call, channel):
        locks, owner = self.locks, call.id
        record = locks.record(self.name, call.key)
        fence, holder = half.reserve(locks, record, owner, call.deadline, call.expires_ms, call.offer)
        if holder is not None:
            return self._result(holder.owner, 'coalesced' if holder.offered else 'discarded')

        def keep():
            locks.keep('extend', record, owner, fence, half.PUBLISH_WINDOW)

        try:
            result = call.publish(channel, fence, still_publishing=keep)
        except half.UNKNOWN:
            # Letting the key go would admit a second copy: the window ends by itself.
            raise
        except Exception:
            locks.abandon(record, owner, fence)
            raise
        ttl = round((call.delay + self.lock_ttl) * 1000)
        insist(lambda: locks.keep('confirm', record, owner, fence, ttl), tries=2)
        return result

    def _follow(self, run, call, channel):
        """A retry, or any other message of a run's own id: its key waits for it."""
        if run.state != 'held' and not run.hold(call.delay):
            raise Reject(f'{self.name}[{run.owner}]: the key was lost before its retry', requeue=True)
        call.expires = None
        if run.newer:
            call.args, call.kwargs = run.args, run.kwargs
        return call.publish(channel, run.seq, (run.key, run.mode))

    def _result(self, task_id, receipt):
        result = self.AsyncResult(task_id)
        result.receipt = receipt
        return result


class Call:
    """One call on its way to becoming a message."""

    def __init__(self, task, args, kwargs, task_id, options):
        self.task = task
        self.args, self.kwargs = list(args or ()), dict(kwargs or {})
        self.id = task_id or uuid()
        self.deadline = time.monotonic() + half.PUBLISH_TIMEOUT
        self.options = dict(options)
        self.options.pop('task_id', None)
        eta = moment(options.get('countdown') or options.get('eta'))
        self.delay = max(0.0, (eta - datetime.now(timezone.utc)).total_seconds()) if eta else 0.0
        expires = self.options.pop('expires', None)
        self.expires = moment(task.expires if expires is None else expires)
        self.headers = self.options.pop('headers', None) or {}

    @cached_property
    def key(self):
        """Computed once; a copy of a message has its own."""
        return self.task.key_of(self.args, self.kwargs)

    @cached_property
    def offer(self):
        """The arguments for a holder of the key; None without coalesce, or when they are too large."""
        return offer_of(self.args, self.kwargs) if self.task.on_duplicate == 'coalesce' else None

    def check(self):
        """Before anybody is asked: what cannot be enqueued is the caller's mistake."""
        if self.key and self.offer is None and self.task.on_duplicate == 'coalesce':
            raise ValueError(f'{self.task.name}: with coalesce Redis keeps the arguments; pass an id instead')

    @property
    def expires_ms(self):
        """Epoch ms; 0 for never."""
        return round(self.expires.timestamp() * 1000) if self.expires else 0

    def publish(self, channel, fence, lock=None, still_publishing=lambda: None):
        """Resolves the call: its message is confirmed. `lock`: key and mode, when they were computed before."""
        key, mode = lock or (self.key, self.task.lock_mode)
        headers = {
            **self.headers,
            **half.lock_headers(key, mode, fence),
            # A double: py-amqp writes an integer of this size with a tag that amqplib cannot read.
            'enqueued_at': float(half.now_ms()),
            'attempt': self.options.get('retries', 0) + 1,
        }
        if self.expires:
            # A header alone: what the broker itself drops would keep its key.
            headers['expires'] = self.expires.isoformat()

        def send(copy, timeout):
            options = dict(self.options, expires=None, retry=False, mandatory=True, timeout=timeout)
            return super(UniqueTask, self.task).apply_async(
                self.args, self.kwargs, task_id=self.id, producer=channel, headers=dict(headers, copy=copy), **options
            )

        result = half.publish(channel, send, self.deadline, still_publishing)
        result.receipt = 'enqueued'
        return result
