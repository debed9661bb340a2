"""The lease of a run, kept alive by a thread in the process that runs the body."""
import threading
import time


class Lease(threading.Thread):
    """Renews a granted claim every third of its time, and sets `lost` when the key may be somebody else's."""

    def __init__(self, locks, record, owner, fence, ms, sent, lost):
        super().__init__(name=f'lease of {record}', daemon=True)
        self.fence = fence
        self.lost = lost
        self._renew = lambda: locks.keep('renew', record, owner, fence, ms)
        self._seconds = ms / 1000
        # The lease cannot end later than its length after the claim was sent.
        self._deadline = sent + self._seconds
        self._ended = threading.Event()

    def stop(self):
        """Ends the renewals; the key stays as it is."""
        self._ended.set()

    def check(self):
        """Looks at the clock: code that holds the interpreter lock also keeps this thread from its renewals."""
        if time.monotonic() >= self._deadline:
            self.lost.set()
        return not self.lost.is_set()

    def run(self):
        wait = self._seconds / 3
        while not self._ended.wait(max(0, min(wait, self._deadline - time.monotonic()))):
            if not self.check():
                return
            sent = time.monotonic()
            answer = self._renew()
            if self._ended.is_set():
                return
            if answer.outcome == 'lost':
                self.lost.set()
                return
            if answer.outcome == 'ok':
                self._deadline = sent + self._seconds
            wait = self._seconds / (3 if answer.outcome == 'ok' else 20)
