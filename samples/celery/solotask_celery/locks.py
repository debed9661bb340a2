"""solotask's lock records on one Redis, by solotask's own Lua scripts; docs/internals.md there has the protocol."""
import random
import threading
import time
from pathlib import Path
from urllib.parse import quote, unquote
from uuid import uuid4

import redis
from celery.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

#: How long a record outlives its holder, ms. All who share a lock space use one number.
MEMORY = 600_000

PHASES = {'p': 'publishing', 'q': 'queued', 'r': 'running', 'k': 'kept'}
OWN = {'s': 'same-copy', 'o': 'other-copy'}

#: Redis's own refusals that come before anything of a script is executed.
CLOSED = ('LOADING', 'READONLY', 'MASTERDOWN', 'NOAUTH', 'NOPERM', 'WRONGPASS', 'OOM', 'BUSY', 'MISCONF')


def word(text):
    """An id as one word of a command; as JavaScript's encodeURIComponent writes it."""
    return quote(text, safe="!~*'()") or '%'


def unword(text):
    """What `word` wrote."""
    return '' if text == '%' else unquote(text)


def find_scripts():
    """solotask's scripts, from here upwards: in its repository, or where npm has installed it."""
    for folder in Path(__file__).resolve().parents:
        for inside in ('lib/guards/scripts', 'node_modules/solotask/dist/lib/guards/scripts'):
            if (folder / inside / 'prelude.lua').is_file():
                return folder / inside
    raise ImproperlyConfigured(
        "solotask's Lua scripts were not found; pass scripts='…/node_modules/solotask/dist/lib/guards/scripts'"
    )


class Fences:
    """Rising numbers below 2^53, at least the wall clock in µs: what the claims of this process propose."""

    def __init__(self):
        self._last = 0
        self._lock = threading.Lock()

    def next(self, seen=0):
        """Larger than all before it and than `seen`, the highest that a refusal told."""
        wall = int(time.time() * 1000) * 1000 + random.randrange(1000)
        with self._lock:
            self._last = max(self._last + 1, seen + 1, wall)
            return self._last


class Answer:
    """What Redis says to one command."""

    def __init__(self, outcome, **details):
        self.outcome = outcome
        self.__dict__.update(details)

    def __repr__(self):
        return f'Answer({vars(self)!r})'


def read_refusal(text):
    """An error reply as an answer: a refusal of the scripts, or trouble."""
    name, *words = text.split(' ')
    if name == 'UQHELD':
        letter, fence, left, seq, own, offered, owner = words
        return Answer(
            'held', phase=PHASES[letter], fence=int(fence), left=int(left), seq=int(seq), own=OWN.get(own),
            offered=offered == '1', owner=unword(owner),
        )
    if name == 'UQDONE':
        return Answer('done', own=words[0] == '1', dead=words[1] == '1', owner=unword(words[2]))
    if name == 'UQFENCE':
        return Answer('fence', highest=int(words[0]))
    if name == 'UQCLOCK':
        return Answer('clock', skew=float(words[0]))
    if name in ('UQLOST', 'UQMARKED'):
        return Answer(name[2:].lower())
    return Answer('unavailable' if name in CLOSED else 'unknown', cause=text)


class Locks:
    """The records of one namespace. No method raises for Redis's sake: what it did or did not say is the answer."""

    def __init__(self, url, namespace='solotask', scripts=None, memory=MEMORY):
        self.namespace = namespace
        self.fences = Fences()
        self._redis = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=0.5, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
        )
        folder = Path(scripts) if scripts is not None else find_scripts()
        prelude, single = ((folder / f'{name}.lua').read_text('utf-8') for name in ('prelude', 'single'))

        def script(name):
            step = (folder / f'{name}.lua').read_text('utf-8')
            text = f"local MEMORY = {memory}\n{prelude}steps['{name}'] = function()\n{step}end\n{single}"
            return self._redis.register_script(text)

        names = ('claim-publishing', 'claim-running', 'keep', 'release', 'abandon')
        self._scripts = {name: script(name) for name in names}

    def record(self, task, key):
        """The name of a key's record. A task's name may hold the separator."""
        part = task.replace('%', '%25').replace(':', '%3A') if set(':%') & set(task) else task
        return f'{self.namespace}:lock:{part}:{key}'

    def claim_publishing(self, record, owner, fence, window, expires=0, offer=None):
        """The window of a producer; a holder takes the offered arguments (JSON text)."""
        return self._call('claim-publishing', record, window, word(owner), fence, expires, offer or '')

    def claim_running(self, record, claim, fence):
        """The lease of a worker, for the message that `claim` describes."""
        words = (
            word(claim['owner']), word(claim['nonce']), fence, word(claim['copy']), claim['seq'], claim['expires'],
            claim['strategy'], int(claim['rerun']), claim['offer'] or '',
        )
        return self._call('claim-running', record, claim['lease'], *words)

    def keep(self, arrow, record, owner, fence, ms):
        """extend, confirm, renew or hold: moves the deadline; expire: frees what waits and whose time is over."""
        return self._call('keep', record, ms, arrow, word(owner), fence)

    def release(self, record, owner, fence, seq, dead=False):
        """The end of a run."""
        return self._call('release', record, None, word(owner), fence, seq, int(dead), 0)

    def abandon(self, record, owner, fence, nonce=''):
        """Frees what carries exactly this identity, and refuses its late claims."""
        return self._call('abandon', record, None, word(owner), fence, word(nonce))

    def drop(self, record, owner):
        """Frees what waits under this id, as a run that ended in the dead letters. A run that goes on is left alone."""
        nonce = uuid4().hex[:8]
        claim = {
            'owner': owner, 'nonce': nonce, 'copy': nonce, 'seq': 0, 'expires': 0, 'strategy': 'requeue',
            'rerun': False, 'offer': None, 'lease': 5_000,
        }
        fence = self.fences.next()
        answer = self.claim_running(record, claim, fence)
        if answer.outcome == 'fence':
            fence = self.fences.next(answer.highest)
            answer = self.claim_running(record, claim, fence)
        if answer.outcome == 'ok':
            answer = self.release(record, owner, fence, 0, dead=True)
        if answer.outcome not in ('ok', 'held', 'done'):
            self.abandon(record, owner, fence, nonce)
        return answer

    def kept(self, record):
        """The arguments that are kept with a key, and their sequence; None without any, 'unknown' without an answer."""
        try:
            text = self._redis.hget(record, 'a')
        except redis.RedisError:
            return 'unknown'
        if text is None:
            return None
        seq, args = text.split(' ', 1)
        return int(seq), args

    def marked(self, record):
        """Did newer arguments arrive beside a run? When nobody can say, its release will."""
        try:
            return bool(self._redis.hexists(record, 'm'))
        except redis.RedisError:
            return False

    def _call(self, script, record, ms, *words):
        value = ' '.join(map(str, (uuid4().hex[:8], *words)))
        args = [value] if ms is None else [value, round(ms)]
        try:
            self._scripts[script](keys=[record], args=args)
        except redis.ResponseError as error:
            return read_refusal(str(error))
        except redis.ConnectionError as error:
            # A command that was sent on a link which then broke may have been executed.
            refused = isinstance(error.__cause__, ConnectionRefusedError) or 'connecting to' in str(error)
            return Answer('unavailable' if refused else 'unknown', cause=str(error))
        except redis.RedisError as error:
            return Answer('unknown', cause=str(error))
        return Answer('ok')


def insist(ask, tries=5):
    """Asks again while nobody knows: a Redis that reconnects is back in a moment. For what is safe to repeat."""
    answer = ask()
    for round_ in range(tries):
        if answer.outcome not in ('unknown', 'unavailable'):
            break
        time.sleep(0.05 * 2 ** round_)
        answer = ask()
    return answer


def backoff(round_, least=0.005, most=0.25):
    """Seconds between two claims, with jitter."""
    return min(least * 2 ** min(round_, 16), most) * (0.5 + random.random())
