"""What the worker's main process does with a message that is not to run."""
from datetime import datetime

from celery.worker.request import Request

from .install import drop


class UniqueRequest(Request):
    """Asks the key's record before a message is dropped for its age, and frees the keys of those that are revoked."""

    def maybe_expire(self):
        """True when the message has expired and nobody leans on it; else it runs, late as it is."""
        if not self._expires or datetime.now(self._expires.tzinfo) <= self._expires:
            return None
        key = self.request_dict.get('lock_key')
        if key:
            locks = self.task.locks
            answer = locks.keep('expire', locks.record(self.task.name, key), self.id, 0, 0)
            # A redelivery may have begun once, and others may have leaned on it, before its key was let go.
            alone = answer.outcome == 'lost' and not self.delivery_info.get('redelivered')
            if answer.outcome != 'ok' and not alone:
                self._expires = None
                return None
        return super().maybe_expire()

    def _announce_revoked(self, reason, terminated, signum, expired):
        # Of one that was terminated in its body the lease ends by itself.
        if not terminated and not expired:
            drop(self.task.locks, self.request_dict)
        super()._announce_revoked(reason, terminated, signum, expired)
