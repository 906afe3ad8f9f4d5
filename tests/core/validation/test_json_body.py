"""A body is a JSON object that can be kept, stored and sent on, or it is refused with a reason."""

import time

import pytest

from core.exceptions import BadRequest
from core.validation.json_body import MAX_DEPTH, parse_json


def refusal(raw: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        parse_json(raw)
    return refused.value


def test_an_object_comes_out_as_it_went_in() -> None:
    raw = '{"messages": [{"content": "grüß \\ud83d\\ude00 \\\\u0000"}], "seed": 9223372036854775807}'.encode()
    assert parse_json(raw) == {"messages": [{"content": "grüß 😀 \\u0000"}], "seed": 2**63 - 1}


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"nope", b"{} x", b"{'a': 1}", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 01}'),
        *(b'{"a": "\x00"}', b'{"a": "\xff"}', b'{"\xff": 1}', b'{"a": "\xed\xa0\xbd"}'),
        "{}".encode("utf-16"),
    ],
)
def test_invalid_json_is_refused(raw: bytes) -> None:
    assert refusal(raw).code == "invalid_json"


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"1", b"null", b"true", b'[{"messages": []}]'])
def test_json_that_is_not_an_object_is_refused(raw: bytes) -> None:
    refused = refusal(raw)
    assert (refused.code, refused.param) == ("invalid_type", None)


@pytest.mark.parametrize("number", [b"1e400", b"-1e999", b"1" * 5000])
def test_numbers_that_are_too_large_are_refused(number: bytes) -> None:
    assert refusal(b'{"a": ' + number + b"}").code == "invalid_value"


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (rb'{"messages": [{"content": "a\u0000b"}]}', "messages[0].content"),
        (rb'{"context": {"a\u0000": 1}}', "context.a\N{REPLACEMENT CHARACTER}"),
        (rb'{"messages": [{"content": "a\ud83d"}]}', "messages[0].content"),
        (rb'{"metadata": {"k": "\ude00\ud83d"}}', "metadata.k"),
        (rb'{"a": [[{"\ud83d": 1}]]}', "a[0][0].\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_nul_characters_and_lone_surrogates_are_refused_with_their_path(raw: bytes, param: str) -> None:
    refused = refusal(raw)
    assert (refused.code, refused.param) == ("invalid_value", param)
    refused.message.encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"context":' + b'{"a":' * 400 + b"1" + b"}" * 401,
        b'{"context":' + b"[" * 400 + b"]" * 400 + b"}",
        b'{"a":"\\ud83d","context":' + b"[" * 400 + b"]" * 400 + b"}",
    ],
)
def test_a_nesting_bomb_is_refused_at_once(raw: bytes) -> None:
    began = time.perf_counter()
    assert refusal(raw).status == 400
    assert time.perf_counter() - began < 1


def test_the_depth_that_is_allowed_is_exact() -> None:
    def nested(depth: int) -> bytes:
        return b'{"context":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert parse_json(nested(MAX_DEPTH))
    assert refusal(nested(MAX_DEPTH + 1)).param == "context"


def test_width_is_not_depth() -> None:
    assert len(parse_json(b'{"messages": [' + b",".join([b'{"a": [1]}'] * 5000) + b"]}")["messages"]) == 5000


def test_a_byte_order_mark_is_not_part_of_the_body() -> None:
    assert parse_json(b"\xef\xbb\xbf{}") == {}


def test_millions_of_brackets_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(BadRequest, match="opening brackets"):
        parse_json(b'{"messages":[' + b"{}," * 5_000_000 + b"{}]}")
