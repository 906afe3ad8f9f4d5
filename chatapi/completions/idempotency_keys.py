"""What an idempotency key may be, wherever a client names one."""

from core.exceptions import BadRequest

IDEMPOTENCY_KEY_LENGTH = 255


def check_idempotency_key(key: str, *, param: str) -> str:
    if len(key) > IDEMPOTENCY_KEY_LENGTH or not key.isprintable():
        raise BadRequest(
            f"An idempotency key has at most {IDEMPOTENCY_KEY_LENGTH} printable characters.", param=param
        )
    return key
