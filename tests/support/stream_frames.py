"""Reading a stream's bytes as a client does."""

from typing import Any

import msgspec


def chunks_of(stream: bytes) -> list[dict[str, Any]]:
    """The JSON of each event except `[DONE]`. The stream must contain nothing else."""
    assert stream == b"" or stream.endswith(b"\n\n")
    events = stream.split(b"\n\n")[:-1]
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in events)
    return [msgspec.json.decode(event[6:]) for event in events if event != b"data: [DONE]"]


def messages_of(chunks: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Choices by index, with their deltas merged as SDKs do: text is concatenated, other values come once."""
    messages: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            message = messages.setdefault(choice["index"], {})
            _add(message, choice["delta"])
            if choice.get("finish_reason") is not None:
                assert "finish_reason" not in message
                message["finish_reason"] = choice["finish_reason"]
    return messages


def _add(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if isinstance(value, dict):
            _add(whole.setdefault(key, {}), value)
        elif isinstance(value, list):
            for item in value:
                rest = {name: part for name, part in item.items() if name != "index"}
                _add(whole.setdefault(key, {}).setdefault(item["index"], {}), rest)
        elif isinstance(value, str) and isinstance(whole.get(key), str):
            whole[key] += value
        elif whole.get(key) is not None:
            raise AssertionError(f"{key} came twice")
        else:
            whole[key] = value
