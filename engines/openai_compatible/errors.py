"""Upstream failures as `EngineError`s.

EngineError
├── InvalidRequest
├── Transient               the same upstream may answer a moment later: worth a retry
└── Unavailable
    ├── Unreachable         (also Transient) no connection, or one that broke
    └── TimedOut            it accepted the connection but sent nothing in time
"""

import math
import re
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from errno import ECONNREFUSED
from string import ascii_letters, digits
from typing import Any

import aiohttp
import msgspec

from engines.base import EngineError, InvalidRequest, Unavailable, UpstreamFailure
from engines.openai_compatible.chunk_types import decode_leniently
from engines.surrogates import join_surrogates, join_surrogates_in_json

MESSAGE_LIMIT = 2000
NAME_LIMIT = 200
"""Characters of a code, type or param."""
NUMBER_LIMIT = 10**19
_KEY_CHARACTERS = f"{ascii_letters}{digits}-_.~+/=%\\&;#"
_STATUS = re.compile("[1-5][0-9][0-9]")


class Transient(EngineError):
    pass


class Unreachable(Unavailable, Transient):
    code = "upstream_unreachable"


class TimedOut(Unavailable):
    status = 504
    code = "upstream_timeout"
    upstream_failure = "timeout"


class Fault(msgspec.Struct):
    """An upstream's error object; `number` is its code if that is an HTTP status."""

    message: str
    type: str | None = None
    code: str | None = None
    number: int | None = None
    param: str | None = None


def error_for_status(status: int, headers: Mapping[str, str], body: bytes) -> EngineError:
    """Return the error for a response whose status is not 200."""
    return _reported(_error(status, find_fault_in_body(body), retry_after(headers)))


def error_for_fault(fault: Fault) -> EngineError:
    """Return the error for an error object that came with status 200."""
    if fault.number and 400 <= fault.number < 600:
        status = fault.number
    elif "rate_limit" in f"{fault.code} {fault.type}":
        status = 429
    elif fault.type == "invalid_request_error" or _is_about_context_length(fault):
        status = 400
    else:
        return _reported(EngineError(_clean(fault.message), code=fault.code, type=fault.type))
    return _reported(_error(status, fault, None))


def _reported(error: EngineError) -> EngineError:
    error.upstream_failure = "status"
    return error


def _error(status: int, fault: Fault | None, wait: float | None) -> EngineError:
    if status in (401, 403):
        return _credentials_refused()
    fault = fault or Fault(f"The upstream answered with status {status}.")
    message = _clean(fault.message)
    if status != 429 and _is_about_context_length(fault):
        return InvalidRequest(message, code="context_length_exceeded", param="messages")
    if status in (400, 413, 422):
        status = 413 if status == 413 else 400
        return InvalidRequest(message, status=status, type=fault.type, code=fault.code, param=fault.param)
    if status == 429:
        kind, code = fault.type or "rate_limit_error", fault.code or "rate_limit_exceeded"
        return Transient(message, status=429, type=kind, code=code, param=fault.param, retry_after=wait)
    if status in (404, 409):
        kind = fault.type or "invalid_request_error"
        return EngineError(message, status=status, type=kind, code=fault.code, param=fault.param)
    if status == 408 or status >= 500:
        return Transient(message, status=_server_status(status), code=fault.code, retry_after=wait)
    return EngineError(message, type=fault.type, code=fault.code, param=fault.param)


def _credentials_refused() -> EngineError:
    # 401 would tell our client that its own key is wrong, and upstreams quote the key they reject
    message = "The upstream refused the credentials of this service."
    return EngineError(message, status=502, code="upstream_authentication")


def _server_status(status: int) -> int:
    """Return what our client gets for 408 and 5xx; some upstreams send 529 when overloaded."""
    if status in (500, 502, 503, 504):
        return status
    return {408: 504, 529: 503}.get(status, 502)


def _clean(message: str) -> str:
    """Return what is passed on of a message. It does not end in half a word, which may be half a key."""
    if len(message) > MESSAGE_LIMIT:
        message = message[:MESSAGE_LIMIT].rstrip(_KEY_CHARACTERS)
    return _valid(message) or "The upstream reported an error."


# --- connections that fail ------------------------------------------------------------------------

_CAUSES: Mapping[UpstreamFailure, str] = {
    "dns": "its name does not resolve",
    "refused": "it refuses the connection",
    "unreachable": "no way leads there",
    "tls": "no secure connection to it comes about",
    "proxy": "the proxy does not let us through",
    "broken_off": "it closed the connection",
    "invalid_answer": "it does not speak HTTP as it should",
}


def error_for_connection(error: Exception) -> Unreachable:
    """Return the error for a request that got no response. It says why, but not where the upstream is."""
    failure = _connection_failure(error)
    return Unreachable(f"The upstream cannot be reached: {_CAUSES[failure]}.", upstream_failure=failure)


def _connection_failure(error: Exception) -> UpstreamFailure:
    match error:
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return "proxy"
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientSSLError() | ssl.SSLError() | aiohttp.ServerFingerprintMismatch():
            return "tls"
        case aiohttp.ClientConnectorError():
            # of several addresses the errors are one, without a number
            is_refused = error.errno == ECONNREFUSED or f"[Errno {ECONNREFUSED}]" in str(error)
            return "refused" if is_refused else "unreachable"
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return "invalid_answer"
    return "broken_off"


# --- errors about the context length -------------------------------------------------------------

_CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error"}
_CONTEXT_WORDS = (
    "maximum context length",
    "exceeds the available context size",
    "model's context length",
    "maximum model length",
    "context length exceeded",
    "exceeds the context window",
    "exceeds the model's context",
    "prompt is too long",
)


def _is_about_context_length(fault: Fault) -> bool:
    if fault.code in _CONTEXT_CODES or fault.type in _CONTEXT_CODES:
        return True
    message = fault.message.lower()
    return any(words in message for words in _CONTEXT_WORDS)


# --- reading an error body ----------------------------------------------------------------------


def find_fault_in_body(body: bytes) -> Fault | None:
    """Return the error object of a JSON body; None if there is none (HTML, nothing, a whole answer)."""
    try:
        return find_fault(_decode(body))
    except (ValueError, RecursionError):
        return None


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decode_leniently(body)


def find_fault(document: Any) -> Fault | None:
    """Return the error object in any of its shapes: OpenAI's, vLLM's, FastAPI's, a bare string, in a list."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if isinstance(error, dict):
        return _fault(error)
    if error:
        return _fault({**document, "message": error})
    if "choices" not in document and (document.get("message") or document.get("detail")):
        return _fault(document)
    return None


def _fault(error: Mapping[str, Any]) -> Fault:
    message = error.get("message") or error.get("detail") or "The upstream reported an error."
    code = _name(error.get("code"))
    number = int(code) if code and _STATUS.fullmatch(code) else None
    return Fault(
        message=message
        if isinstance(message, str)
        else msgspec.json.encode(join_surrogates_in_json(message)).decode(),
        type=_name(error.get("type")),
        code=code if number is None else None,
        number=number,
        param=_name(error.get("param")),
    )


def _name(value: Any) -> str | None:
    """Return a code, type or param if it is one: a short text, or a number used as one."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < NUMBER_LIMIT:
        value = str(value)
    return _valid(value) if isinstance(value, str) and 0 < len(value) <= NAME_LIMIT else None


def _valid(text: str) -> str:
    """Return the text in a form that can be encoded and stored."""
    return join_surrogates(text).replace("\0", "\ufffd")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return seconds from `retry-after-ms` or `Retry-After` (a number of seconds or an HTTP date)."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif "Retry-After" in headers:
            seconds = _seconds(headers["Retry-After"])
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return parsedate_to_datetime(value).timestamp() - time.time()
