"""Helpers for tests of refusals: a request that gets one, and how it must look."""

from typing import Any

from tests.support.media_requests import picture, post, row_counts, text
from tests.support.people import Person
from tests.support.pictures import encode_picture, quarters
from tests.support.running_server import Server

GOOD = picture(encode_picture(quarters()))
IMAGE, AUDIO = "messages[1].content[2].image_url", "messages[1].content[2].input_audio"


def body_with(part: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A request with the part third in its second message, after a good picture."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [text("Look."), GOOD, part]},
    ]
    return {"model": "scripted", "messages": messages, "stream": False, **more}


def assert_refused(
    server: Server,
    who: Person,
    part: dict[str, Any],
    param: str,
    *,
    code: str | None = None,
    status: int = 400,
    **more: Any,
) -> str:
    """Check that both dialects refuse the part alike, streamed or not, and store nothing.

    Return the error's message.
    """
    before = row_counts()
    messages: set[str] = set()
    for dialect, stream in (("native", True), ("openai", False), ("openai", True)):
        answer = post(server, who, body_with(part, **more) | {"stream": stream}, dialect)
        assert answer.status_code == status, answer.text[:500]
        assert answer.headers["content-type"] == "application/json"
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["param"], error["type"]) == (param, "invalid_request_error")
        if code is not None:
            assert error["code"] == code
        messages.add(error["message"])
    assert row_counts() == before
    [message] = messages
    return message
