"""Parse a request body into a JSON object that all other code can hold, store and send on."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

from core.exceptions import BadRequest

MAX_DEPTH = 100
"""How deeply objects and arrays may be nested, including the body itself."""

MAX_BRACKETS = 500_000
"""The most opening brackets and braces, counting those in texts too.

Checking fifteen megabytes of `{},` would take five seconds; checking this many takes a third of a second.
"""

_BOM = b"\xef\xbb\xbf"
_decoder = msgspec.json.Decoder()
_lone_surrogate = re.compile(r"[\ud800-\udfff]")
_surrogate_escape = re.compile(rb"\\u[dD][89a-fA-F]")
_nul = re.compile("\0")


def parse_json(raw: bytes) -> dict[str, Any]:
    """Parse an object, refusing NUL characters, lone surrogates, NaN and bracket bombs.

    Raises `BadRequest`: `invalid_json` if it is not JSON, else `invalid_value` or `invalid_type`.
    """
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > MAX_BRACKETS:
        raise BadRequest(f"The body holds more than {MAX_BRACKETS} opening brackets and braces.")
    try:
        body = _decoder.decode(raw.removeprefix(_BOM))
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: {error.reason}.", code="invalid_json") from None
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body holds a number that is too large: {error}.") from None
    except msgspec.DecodeError as error:
        _refuse(raw, error)
    if type(body) is not dict:
        raise BadRequest("The body must be a JSON object.", code="invalid_type")
    if brackets > MAX_DEPTH:
        _check_depth(body)
    if b"\\u0000" in raw:
        _check_characters(body, _nul, "a NUL character")
    return body


def _refuse(raw: bytes, error: msgspec.DecodeError) -> NoReturn:
    """Raise `BadRequest`, locating the lone surrogate if there is one: msgspec gives no path."""
    if _surrogate_escape.search(raw):
        try:
            body = json.loads(raw)
        except RecursionError:
            raise _too_deep() from None
        except ValueError:
            pass
        else:
            _check_depth({"": body})
            _check_characters(body, _lone_surrogate, "half of a surrogate pair")
    raise BadRequest(f"The body is not valid JSON: {error}.", code="invalid_json")


def _too_deep(param: str | None = None) -> BadRequest:
    return BadRequest(
        f"The body is nested too deeply: at most {MAX_DEPTH} arrays and objects may lie in each other.",
        param=param,
    )


def _check_depth(body: dict[str, Any]) -> None:
    for name, value in body.items():
        level = [value] if type(value) in (dict, list) else []
        for _ in range(MAX_DEPTH - 1):
            level = [child for parent in level for child in _children(parent) if type(child) in (dict, list)]
            if not level:
                break
        else:
            raise _too_deep(name[:100] or None)


def _children(parent: Any) -> Any:
    return parent.values() if type(parent) is dict else parent


def _check_characters(body: Any, forbidden: re.Pattern[str], what: str) -> None:
    for path, text in _texts(body, ""):
        if forbidden.search(text):
            raise BadRequest(f"A text must not hold {what}.", param=forbidden.sub("\ufffd", path) or None)


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield every text and every key with its path."""
    if type(value) is str:
        yield path, value
    elif type(value) is list:
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
    elif type(value) is dict:
        for key, item in value.items():
            below = f"{path}.{key[:100]}" if path else key[:100]
            yield below, key
            yield from _texts(item, below)
