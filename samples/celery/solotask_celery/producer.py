"""The producer's half: a key for the publish window, and a message that the broker has confirmed."""
import time
from uuid import uuid4

from kombu.exceptions import OperationalError

from .locks import backoff

#: How long a producer keeps a key while it publishes, ms. Who dies in between blocks the key no longer than this.
PUBLISH_WINDOW = 5_000
#: Seconds an enqueue may take: waiting for other producers, Redis and the broker.
PUBLISH_TIMEOUT = 10.0
#: Seconds an unreachable Redis is waited for: a restart, not an outage.
REACH = 1.0

#: After these nobody knows whether the broker has the message.
UNKNOWN = (OperationalError, OSError)


class LockUnavailable(Exception):
    """Redis cannot be reached, so nobody can say whether a task is a duplicate; nothing was published."""


class DuplicateUndecided(Exception):
    """Within the time of an enqueue nobody could say whether it is a duplicate; nothing was published."""


def now_ms():
    """Epoch ms."""
    return int(time.time() * 1000)


def fresh_copy():
    """Names one publish of a message."""
    return uuid4().hex[-12:]


def lock_headers(key, mode, fence):
    """The lock as solotask's headers: the fence is text, for it has 53 bits."""
    headers = {'lock_key': key, 'lock_mode': mode}
    return dict(headers, lock_fence=str(fence)) if fence else headers


def reserve(locks, record, owner, deadline, expires=0, offer=None):
    """The fence under which the key is ours for the publish window, and None; or None, and who covers the call."""
    undecided, seen, round_, started = [], 0, 0, time.monotonic()
    while True:
        fence = locks.fences.next(seen)
        sent = time.monotonic()
        answer = locks.claim_publishing(record, owner, fence, PUBLISH_WINDOW, expires, offer)
        now = time.monotonic()
        if answer.outcome == 'ok' and now - sent < PUBLISH_WINDOW / 1000:
            return fence, None
        if answer.outcome == 'fence' and now < deadline:
            seen = answer.highest
            continue
        if answer.outcome in ('ok', 'unknown'):
            undecided.append(fence)
        if _is_evidence(answer, offer) and withdraw(locks, record, owner, undecided):
            return None, answer
        limit = min(deadline, started + REACH) if answer.outcome == 'unavailable' else deadline
        if answer.outcome == 'clock' or now >= limit:
            withdraw(locks, record, owner, undecided)
            kind = LockUnavailable if answer.outcome in ('unavailable', 'clock') else DuplicateUndecided
            raise kind(f'{record}: {kind.__doc__} ({answer})')
        time.sleep(min(backoff(round_), limit - now))
        round_ += 1


def _is_evidence(answer, offer):
    """A holder that publishes proves nothing: its message may not exist. One that must take arguments has to say so."""
    if answer.outcome != 'held' or answer.phase == 'publishing':
        return False
    return offer is None or answer.offered or answer.phase == 'kept'


def withdraw(locks, record, owner, fences, nonce=''):
    """Nothing is dropped while a claim of ours may still be executed and then hold the key for nobody."""
    return all([locks.abandon(record, owner, fence, nonce).outcome == 'ok' for fence in fences])


def reach(producer, deadline):
    """A broker that is away is found out before the key is taken."""
    producer.connection.ensure_connection(timeout=max(1, deadline - time.monotonic()), interval_start=0.1)


def publish(producer, send, deadline, still_publishing=lambda: None):
    """Calls `send` until the broker has confirmed; raises `UNKNOWN` when it may have the message, or may not.

    A message whose fate is unknown is sent once more under the same id, as another copy: two copies with one name
    would take each other for a redelivery.
    """
    round_ = 0
    while True:
        try:
            reach(producer, deadline)
            return send(fresh_copy(), max(1, deadline - time.monotonic()))
        except Exception as error:
            # A late confirm on the old channel would count for the next message.
            producer.connection.collect()
            producer.revive(producer.connection)
            pause = backoff(round_, 0.05, 1)
            if not isinstance(error, UNKNOWN) or time.monotonic() + pause >= deadline:
                raise
        still_publishing()
        time.sleep(pause)
        round_ += 1
