"""Celery tasks that share solotask's lock space, as producers and as workers: see the README beside this package."""
from .install import install
from .keys import UniqueKeyError
from .producer import DuplicateUndecided, LockUnavailable
from .task import UniqueTask

__all__ = ('DuplicateUndecided', 'LockUnavailable', 'UniqueKeyError', 'UniqueTask', 'install')
