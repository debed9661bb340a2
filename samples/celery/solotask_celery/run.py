"""The worker's half: a delivery gets its key before the body begins, and gives it up after the result is stored."""
import random
import re
import threading
import time
from uuid import uuid4

from celery import states
from celery.exceptions import Ignore, Reject, TaskRevokedError
from celery.utils.log import get_logger
from kombu.utils.json import dumps, loads

from .lease import Lease
from .locks import backoff, insist
from .producer import UNKNOWN, PUBLISH_TIMEOUT, withdraw

logger = get_logger(__name__)

#: The most bytes of arguments that are kept with a key.
LARGEST_OFFER = 16_384
#: Claims without a decision before a message goes back.
TRIES = 8
#: Seconds between two looks at a key whose earlier attempt has not ended.
LOOK = 0.5
#: On one delivery, then other keys get their turn.
MOST_RERUNS = 10
LONGEST_RERUNS = 300.0
#: Seconds a worker goes on publishing what it cannot give back.
PATIENCE = 60.0


def offer_of(args, kwargs):
    """Arguments as a key keeps them; None when they are too large."""
    text = dumps([list(args), kwargs])
    return text if len(text.encode()) <= LARGEST_OFFER else None


class Run:
    """One delivery and its key. States: claiming, running, held (a copy of it follows), ended."""

    def __init__(self, task, request, args, kwargs):
        self.task, self.request, self.args, self.kwargs = task, request, args, kwargs
        self.locks = task.locks
        self.owner = request.id
        self.key, self.mode = request.get('lock_key'), request.get('lock_mode')
        fence = str(request.get('lock_fence') or '')
        self.seq = int(fence) if re.fullmatch(r'[0-9]{1,16}', fence) else 0
        if not self.key or self.mode not in ('enqueue', 'worker'):
            # From a producer that knows nothing of keys: computed here, once, and it travels from then on.
            self.key, self.mode, self.seq = task.key_of(args, kwargs), task.lock_mode, 0
        self.record = self.locks.record(task.name, self.key)
        self.coalesces = task.on_duplicate == 'coalesce'
        self.nonce = uuid4().hex[:8]
        self.state = 'claiming'
        self.reruns = 0
        # It runs with other arguments than its message brought.
        self.newer = False
        self.lost = threading.Event()
        self.lease = None
        self._began = time.monotonic()
        self._undecided = []

    @property
    def fence(self):
        """Of the granted claim."""
        return self.lease.fence

    def take_key(self):
        """Returns when the key is ours; else raises what Celery does with the message instead."""
        seen = trouble = round_ = 0
        while True:
            answer = self._claim(seen)
            if answer.outcome == 'ok':
                return self._take_newest()
            if answer.outcome == 'fence':
                seen = answer.highest
                continue
            if answer.outcome == 'done':
                self._drop(answer.owner, own=answer.own)
            if answer.outcome == 'held':
                self._meet(answer)
            else:
                trouble += 1
            if trouble > TRIES:
                self._go_back(f'Redis gives no answer ({answer})')
            waits = answer.outcome == 'held' and answer.own
            time.sleep(min(answer.left / 1000, LOOK * (0.5 + random.random())) if waits else backoff(round_, 0.02, 1))
            round_ += 1

    def again(self):
        """Newer arguments arrived during the body: one more claim, for one more body on this delivery."""
        late = self.reruns >= MOST_RERUNS or time.monotonic() - self._began >= LONGEST_RERUNS
        if late or not self.coalesces or self.state != 'running' or self.lost.is_set():
            return False
        if not self.locks.marked(self.record):
            return False
        self.lease.stop()
        self.reruns += 1
        seen = self.fence
        for round_ in range(TRIES):
            answer = self._claim(seen)
            if answer.outcome == 'ok':
                self._take_newest()
                return True
            seen = getattr(answer, 'highest', seen)
            time.sleep(backoff(round_, 0.02, 1))
        return self._go_back(f'the key was lost between two bodies ({answer})')

    def finish(self, dead=False):
        """The end of the last body, after its result was stored. What cannot be released is published once more."""
        if self.state != 'running':
            return
        self.lease.stop()
        answer = insist(lambda: self.locks.release(self.record, self.owner, self.fence, self.seq, dead))
        self.state = 'ended'
        if answer.outcome == 'ok':
            return
        if answer.outcome == 'marked':
            insist(self._hold)
        self._publish_again()

    def hold(self, delay):
        """running → queued, before a copy of the message is published; False when the key is not ours any more."""
        self.lease.stop()
        answer = insist(lambda: self._hold(delay))
        if answer.outcome == 'ok':
            self.state = 'held'
            self._read_newest()
        return answer.outcome == 'ok'

    def abandon(self):
        """Frees the key of a body that has ended without an end: it will run again."""
        if self.state == 'running':
            self.lease.stop()
            self.state = 'ended'
            insist(lambda: self.locks.abandon(self.record, self.owner, self.fence, self.nonce))

    def give_back(self, why):
        """The message goes back to the broker, and the key is free for it."""
        self.abandon()
        raise self._returned(why)

    def _claim(self, seen):
        ms = round(self.task.lock_lease * 1000)
        strategy = self.task.on_duplicate
        if strategy == 'coalesce' and self.mode != 'enqueue':
            # A sequence of the clock orders arguments, but does not prove that a run began later.
            strategy = 'requeue'
        claim = {
            'owner': self.owner, 'nonce': self.nonce, 'copy': self.request.get('copy') or '', 'seq': self.seq,
            'expires': 0, 'strategy': strategy, 'rerun': self.reruns > 0, 'lease': ms,
            'offer': offer_of(self.args, self.kwargs) if self.coalesces else None,
        }
        fence, sent = self.locks.fences.next(seen), time.monotonic()
        answer = self.locks.claim_running(self.record, claim, fence)
        late = time.monotonic() - sent >= ms / 1000
        if answer.outcome == 'ok' and not late:
            self.state = 'running'
            self.lease = Lease(self.locks, self.record, self.owner, fence, ms, sent, self.lost)
            self.lease.start()
        elif answer.outcome in ('ok', 'unknown'):
            self._undecided.append(fence)
            answer.outcome = 'unknown'
        return answer

    def _meet(self, holder):
        """Who has the key decides: returns when its end is to be waited for."""
        if holder.own == 'other-copy':
            self._go_back('another copy of this task has the key')
        if holder.own or holder.phase == 'publishing':
            return
        if holder.phase == 'kept' or not self.coalesces:
            self._drop(holder.owner)
        covered = holder.phase == 'queued' or self.mode == 'enqueue'
        if holder.offered or (self.seq and covered and holder.seq >= self.seq):
            self._drop(holder.owner)
        if not (self.seq and self.mode == 'enqueue'):
            self._go_back('the holder takes no arguments without a sequence')

    def _take_newest(self):
        if self.coalesces and not self._read_newest():
            self.give_back('Redis does not say which arguments are the newest')

    def _read_newest(self):
        """Of its own arguments and those kept with the key the newest; read after a grant, or one could be missed."""
        for round_ in range(TRIES):
            kept = self.locks.kept(self.record) if self.coalesces else None
            if kept != 'unknown':
                break
            time.sleep(backoff(round_, 0.02, 1))
        if kept == 'unknown':
            return False
        if kept is not None and kept[0] > self.seq:
            if not self.seq:
                self.mode = 'worker'
            self.seq, self.newer = kept[0], True
            self.args, self.kwargs = loads(kept[1])
        return True

    def _hold(self, delay=0):
        ms = round((delay + self.task.lock_ttl) * 1000)
        return self.locks.keep('hold', self.record, self.owner, self.fence, ms)

    def _drop(self, holder, own=False):
        """Another run covers this message; of its own run the result was stored before."""
        if not withdraw(self.locks, self.record, self.owner, self._undecided, self.nonce):
            self._go_back('a claim is undecided')
        if not own and not self.request.ignore_result and not self.task.ignore_result:
            reason = TaskRevokedError(f'duplicate of {holder}')
            try:
                self.task.backend.store_result(self.owner, reason, states.REVOKED, request=self.request)
            except Exception:
                logger.exception('the result of %s could not be stored', self.owner)
        raise Ignore(f'{self.task.name}[{self.owner}] is covered by {holder}')

    def _go_back(self, why):
        withdraw(self.locks, self.record, self.owner, self._undecided, self.nonce)
        time.sleep(1)
        self.give_back(why)

    def _returned(self, why):
        return Reject(f'{self.task.name}[{self.owner}] goes back: {why}', requeue=True)

    def _publish_again(self):
        """As long as the delivery is ours the broker is there, and takes the copy sooner or later."""
        end = time.monotonic() + PATIENCE
        self._read_newest()
        while True:
            try:
                return self.task.publish_copy(self)
            except Exception as error:
                logger.error('%s[%s] could not be published again: %r', self.task.name, self.owner, error)
                if not isinstance(error, UNKNOWN) or time.monotonic() + PUBLISH_TIMEOUT >= end:
                    # A key that waits for no message would keep everybody out.
                    insist(lambda: self.locks.abandon(self.record, self.owner, self.fence))
                    raise


def settle(task, state):
    """At the very end of a delivery; `state` is Celery's, None for a process that is told to exit."""
    run = task.request.get('solotask')
    if run is None or run.state != 'running':
        return
    if state in (states.SUCCESS, states.FAILURE):
        run.finish(dead=state == states.FAILURE)
    else:
        run.abandon()
