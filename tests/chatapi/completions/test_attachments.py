"""A call's files are checked and fetched before anything of the call is stored."""

import asyncio
from typing import Any

import pytest

from conversations.models import Conversation
from tests.support.people import Person
from tests.support.running_server import PATHS, Server


def call_with(parts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"model": "scripted", "messages": [{"role": "user", "content": parts}], "stream": False, **more}


@pytest.mark.parametrize("dialect", PATHS)
def test_a_call_has_a_limited_number_of_files(server: Server, alice: Person, dialect: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": "http://203.0.113.1/one.png"}}

    with server.client(alice) as client:
        answer = client.post(PATHS[dialect], json=call_with([picture] * 251))

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "messages[0].content[250].image_url"
    assert error["code"] == "array_above_max_length"
    assert "250" in error["message"]
    assert not Conversation.objects.exists()


def test_files_that_take_too_long_end_in_a_clear_refusal(
    server: Server, alice: Person, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("media.processing.fetching.fetcher.Fetcher.fetch", never)
    settings.CHATAPI_MEDIA_WAIT_SECONDS = 0.2
    picture = {"type": "image_url", "image_url": {"url": "http://203.0.113.1/one.png"}}

    with server.client(alice) as client:
        answer = client.post(PATHS["openai"], json=call_with([picture]))

    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "media_timeout"
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("dialect", PATHS)
def test_a_stream_of_sound_is_raw_samples_in_both_dialects(
    server: Server, alice: Person, dialect: str
) -> None:
    spoken = {"modalities": ["text", "audio"], "audio": {"voice": "joe", "format": "mp3"}, "stream": True}

    with server.client(alice) as client:
        answer = client.post(PATHS[dialect], json=call_with([{"type": "text", "text": "Hi"}], **spoken))

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "audio.format"
