"""The codes that an authenticator app shows: RFC 6238."""

import hmac
import time
from base64 import b32decode

_STEP_SECONDS = 30


def code_of(secret: str, *, steps_ahead: int = 0) -> str:
    """Return the code of now, or of some steps later: each is taken only once."""
    counter = int(time.time()) // _STEP_SECONDS + steps_ahead
    digest = hmac.digest(b32decode(secret), counter.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"
