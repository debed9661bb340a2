"""Unique keys: a template gives the same text here as in solotask (lib/declarations/key-template.ts)."""
import inspect
import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from uuid import UUID

from celery.exceptions import ImproperlyConfigured

#: The longest key, in bytes of UTF-8.
MAX_KEY_BYTES = 512

PLACEHOLDER = re.compile(r'<([^<>{}]*)>|\{([^<>{}]*)\}')


class UniqueKeyError(ValueError):
    """The arguments of a call give no key."""


def js_number(value):
    """A float as JavaScript prints it: 1.0 is 1, and 1e16 has no exponent yet."""
    if value == 0:
        return '0'
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = ''.join(map(str, digits))
    point = len(text) + exponent
    if len(text) <= point <= 21:
        text = text.ljust(point, '0')
    elif 0 < point <= 21:
        text = f'{text[:point]}.{text[point:]}'
    elif -6 < point <= 0:
        text = f'0.{"0" * -point}{text}'
    else:
        mantissa = f'{text[0]}.{text[1:]}' if len(text) > 1 else text
        text = f'{mantissa}e{point - 1:+d}'
    return f'-{text}' if sign else text


def text_of(value):
    """The text of a value that may be part of a key; None for any other."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, (str, int, UUID)):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return js_number(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        utc = value.astimezone(timezone.utc)
        return f'{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z'
    return None


def escape(text, stop):
    """Percent-encodes what would let two parts of a key run into each other."""
    if '%' not in text and (stop is None or stop not in text):
        return text
    text = text.replace('%', '%25')
    if stop is None:
        return text
    return text.replace(stop, ''.join(f'%{byte:02X}' for byte in stop.encode()))


def check_key(key, where):
    """A finished key: neither empty nor too long, and well-formed Unicode."""
    text = None if isinstance(key, (bool, datetime)) else text_of(key)
    if not text:
        raise UniqueKeyError(f'{where}: the key is {key!r}; it must be a string')
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UniqueKeyError(f'{where}: the key is no well-formed Unicode: {text!r}') from None
    if size > MAX_KEY_BYTES:
        text = f'the key has {size} bytes, at most {MAX_KEY_BYTES} are taken; hash it in a function'
        raise UniqueKeyError(f'{where}: {text}')
    return text


class Key:
    """Computes the key of a call, from a template such as ``'loan:<loan_id>'`` or by a function of its arguments."""

    def __init__(self, source, signature, where):
        self.signature = signature
        self.where = where
        self.function = source if callable(source) else None
        if self.function is None:
            self.start, self.parts = self._parse(source)

    def __call__(self, args, kwargs):
        if self.function is not None:
            return check_key(self.function(*args, **kwargs), self.where)
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        rendered = (self._render(part, bound.arguments) for part in self.parts)
        return check_key(self.start + ''.join(rendered), self.where)

    def _parse(self, template):
        found = list(PLACEHOLDER.finditer(template))
        ends = [match.start() for match in found] + [len(template)]
        start = self._literal(template[:ends[0]], template)
        parts = []
        for index, match in enumerate(found):
            path = (match[1] if match[1] is not None else match[2]).strip()
            steps = path.split('.')
            if not all(step.strip() for step in steps):
                raise ImproperlyConfigured(f'{self.where}: {match[0]} is a placeholder without a name')
            self._check_carrier(path, steps)
            tail = self._literal(template[match.end():ends[index + 1]], template)
            last = index + 1 == len(found)
            parts.append((path, steps, tail, None if last else self._stop(tail, path)))
        if not template.strip():
            raise ImproperlyConfigured(f"{self.where}: the key is empty; write one such as 'loan:<loan_id>'")
        return start, parts

    def _literal(self, text, template):
        if re.search(r'[<>{}]', text):
            raise ImproperlyConfigured(f'{self.where}: a bracket stands alone in the key {template!r}')
        return text

    def _stop(self, tail, path):
        """The character that ends a value in the finished key: no letter, digit or %, for escapes are made of them."""
        stop = tail[:1]
        if not stop or stop == '%' or unicodedata.category(stop)[0] in 'LN':
            raise ImproperlyConfigured(f"{self.where}: put a separator such as ':' directly after <{path}>")
        return stop

    def _check_carrier(self, path, steps):
        parameters = self.signature.parameters
        found = parameters.get(steps[0])
        if found is None and not parameters:
            raise ImproperlyConfigured(f'{self.where}: no parameter carries <{path}>')
        if found is not None and found.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise ImproperlyConfigured(f'{self.where}: <{path}> is a list or a dict; a key needs one value')

    def _render(self, part, arguments):
        path, steps, tail, stop = part
        text = text_of(self._value(path, steps, arguments))
        if not text:
            raise UniqueKeyError(
                f'{self.where}: <{path}> gives no key; one takes strings, numbers, booleans and times with a zone'
            )
        return escape(text, stop) + tail

    def _value(self, path, steps, arguments):
        if steps[0] in arguments:
            value, steps = arguments[steps[0]], steps[1:]
        else:
            objects = [each for each in arguments.values() if isinstance(each, Mapping)]
            if len(objects) != 1:
                raise UniqueKeyError(f'{self.where}: <{path}> is no parameter, and no single dict holds it')
            value = objects[0]
        for step in steps:
            if not isinstance(value, Mapping):
                raise UniqueKeyError(f'{self.where}: <{path}> cannot be looked up')
            value = value.get(step)
        return value
