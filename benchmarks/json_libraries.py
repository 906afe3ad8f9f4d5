"""JSON libraries side by side (docs/decisions/0003-json-library.md): median microseconds.

python -m benchmarks.json_libraries
"""

import json
import statistics
import timeit
from collections.abc import Callable
from typing import Any

import msgspec
import orjson

ROUNDS = 7
CALLS = 20_000


class _Delta(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(msgspec.Struct):
    index: int
    delta: _Delta
    finish_reason: str | None = None
    logprobs: Any = None


class _Chunk(msgspec.Struct):
    id: str
    created: int
    model: str
    object: str
    choices: list[_Choice]
    usage: dict[str, Any] | None = None


_SENTENCE = "The quick brown fox jumps over the lazy dog. Übung macht den Meister — ok? "
_REQUEST = {
    "model": "gpt-4o",
    "stream": True,
    "temperature": 0.7,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        *({"role": ("user", "assistant")[n % 2], "content": _SENTENCE * 4 + str(n)} for n in range(10)),
    ],
}
_CHUNK = {
    "id": "chatcmpl-fake",
    "created": 1_760_000_000,
    "model": "fake",
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {"content": " word42"}, "logprobs": None, "finish_reason": None}],
}
_STRING = ' wörd42 "quoted"\n'

Contest = dict[str, Callable[[], object]]


def contests() -> dict[str, Contest]:
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode
    decode_chunk = msgspec.json.Decoder(_Chunk).decode
    encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    request, chunk = encode(_REQUEST), encode(_CHUNK)
    struct = decode_chunk(chunk)
    return {
        f"decode a request of 11 messages, {len(request)} bytes": {
            "msgspec": lambda: decode(request),
            "orjson": lambda: orjson.loads(request),
            "json": lambda: json.loads(request),
        },
        "decode a chunk to a dict": {
            "msgspec": lambda: decode(chunk),
            "orjson": lambda: orjson.loads(chunk),
            "json": lambda: json.loads(chunk),
        },
        "decode a chunk to a Struct": {"msgspec": lambda: decode_chunk(chunk)},
        "encode a chunk from a dict": {
            "msgspec": lambda: encode(_CHUNK),
            "orjson": lambda: orjson.dumps(_CHUNK),
            "json": lambda: encode_json(_CHUNK).encode(),
        },
        "encode a chunk from a Struct": {"msgspec": lambda: encode(struct)},
        "encode one string": {
            "msgspec": lambda: encode(_STRING),
            "orjson": lambda: orjson.dumps(_STRING),
            "json": lambda: encode_json(_STRING).encode(),
        },
    }


def main() -> None:
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for title, contest in contests().items():
            for library, call in contest.items():
                seconds.setdefault((title, library), []).append(timeit.timeit(call, number=CALLS))
    for (title, library), taken in seconds.items():
        print(f"{title:50} {library:8} {statistics.median(taken) / CALLS * 1e6:8.2f}")


if __name__ == "__main__":
    main()
