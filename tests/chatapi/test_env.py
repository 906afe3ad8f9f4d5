"""A wrong variable ends the start with one line; an empty one counts as absent."""

import re
from collections.abc import Callable
from functools import partial

import pytest

from chatapi.env import env, env_choice, env_flag, env_int, env_list, env_nano_usd

Reader = Callable[[str], object]


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (env, " x ", "x"),
        (partial(env, default="x"), " ", "x"),
        (env_flag, "Yes", True),
        (partial(env_flag, default=True), "", True),
        (partial(env_int, default=8), "", 8),
        (partial(env_int, default=8), "0", 0),
        (lambda name: env_choice(name, "refuse", "record"), "RECORD", "record"),
        (env_list, "a, b,,", ["a", "b"]),
        (partial(env_nano_usd, default="0"), "none", None),
    ],
)
def test_a_variable_is_read(read: Reader, text: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATAPI_X", text)

    assert read("CHATAPI_X") == value


@pytest.mark.parametrize(
    ("read", "text", "line"),
    [
        (env_flag, "maybe", "chatapi: CHATAPI_X='maybe' is neither true nor false"),
        (partial(env_int, default=8), "-1", "chatapi: CHATAPI_X='-1' is not a whole number"),
        (partial(env_int, default=8), "٣", "chatapi: CHATAPI_X='٣' is not a whole number"),
        (partial(env_int, default=8, least=1), "0", "chatapi: CHATAPI_X='0' is below 1"),
        (lambda name: env_choice(name, "a", "b"), "c", "chatapi: CHATAPI_X='c' is none of a, b"),
        (partial(env_nano_usd, default="0"), "-1", "chatapi: CHATAPI_X='-1' is negative"),
    ],
)
def test_a_wrong_variable_is_one_line(
    read: Reader, text: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_X", text)

    with pytest.raises(SystemExit, match=re.escape(line)):
        read("CHATAPI_X")
