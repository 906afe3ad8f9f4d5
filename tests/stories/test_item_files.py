"""Pictures, sounds and files in items that clients add: by an upload's id, an address, or inline."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pytest_django import Settings

from conversations.models import Conversation, ConversationAsset, Message
from media.models import Asset
from media.storage.operations import walk
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.fake_websites import Visit
from tests.support.history_rows import conversation_of
from tests.support.item_requests import refusal
from tests.support.media_requests import b64, row_counts, site_for, upload_file, wait_for_renditions
from tests.support.people import Person, token_for
from tests.support.pictures import encode_picture, quarters
from tests.support.running_server import PATHS, Server, chat_body
from tests.support.sounds import wav

PICTURE = encode_picture(quarters(60, 40))


@pytest.fixture(autouse=True)
def finish_renditions(server: Server, recognizer: FakeRecognizer) -> Iterator[None]:
    yield
    wait_for_renditions()


@pytest.fixture
def conversation(server: Server, alice: Person) -> Conversation:
    return conversation_of(alice)


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def image(**fields: Any) -> dict[str, Any]:
    return {"type": "input_image", **fields}


def file(**fields: Any) -> dict[str, Any]:
    return {"type": "input_file", **fields}


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{b64(data)}"


def add(client: httpx2.Client, conversation: Conversation, *items: dict[str, Any]) -> httpx2.Response:
    return client.post(f"/v1/conversations/{conversation.public_id}/items", json={"items": list(items)})


def test_uploads_are_named_by_their_ids(server: Server, alice: Person, conversation: Conversation) -> None:
    seen, heard = upload_file(server, alice, PICTURE), upload_file(server, alice, wav())
    read = upload_file(server, alice, b"Some notes.", "a.txt")
    with server.client(alice) as client:
        parts = (image(file_id=seen, detail="low"), file(file_id=heard), file(file_id=read, filename="b.txt"))
        added = add(client, conversation, {"role": "user", "content": "Look."}, user(*parts))
        assert added.status_code == 200, added.text
        picture, sound, notes = added.json()["data"][1]["content"]
        shown = [client.get(part) for part in (picture["image_url"], sound["file_url"], notes["file_url"])]

    assert [answer.content for answer in shown] == [PICTURE, wav(), b"Some notes."]
    assert (picture["detail"], picture["asset"]["width"]) == ("low", 60)
    assert (sound["type"], sound["audio"]["format"], sound["audio"]["asset"]["seconds"]) == (
        "input_file",
        "wav",
        1.0,
    )
    assert notes["filename"] == "b.txt"
    assert ConversationAsset.objects.filter(conversation=conversation).count() == 3


def test_small_ones_come_inline_and_are_rendered(
    server: Server, alice: Person, conversation: Conversation
) -> None:
    with server.client(alice) as client:
        parts = (image(image_url=data_url(PICTURE)), file(file_data=b64(b"Notes."), filename="a.txt"))
        picture, notes = add(client, conversation, user(*parts)).json()["data"][0]["content"]
        wait_for_renditions()
        [item] = client.get(f"/v1/conversations/{conversation.public_id}/items").json()["data"]
        small = client.get(item["content"][0]["thumbnail_url"])

    assert "source_url" not in picture
    assert notes["asset"]["media_type"] == "text/plain"
    assert small.headers["content-type"] == "image/webp"


def test_a_picture_is_fetched_from_its_address(
    server: Server, alice: Person, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(visit: Visit) -> None:
        await visit.answer(PICTURE)

    with server.client(alice) as client, site_for(server, monkeypatch, serve) as site:
        [item] = add(client, conversation, user(image(image_url=site.url()))).json()["data"]
        again = add(client, conversation, user(image(image_url=site.url())))

    [part] = item["content"]
    assert part["source_url"] == site.url()
    assert part["image_url"].startswith(f"{server.url}/media/")
    assert again.status_code == 200
    assert Asset.objects.count() == 1


def test_a_message_is_edited_to_one_with_a_picture(
    server: Server, alice: Person, conversation: Conversation
) -> None:
    with server.client(alice) as client:
        [item] = add(client, conversation, {"role": "user", "content": "Look."}).json()["data"]
        address = f"/v1/conversations/{conversation.public_id}/items/{item['id']}"
        content = [{"type": "input_text", "text": "Look."}, image(image_url=data_url(PICTURE))]
        edited = client.post(address, json={"content": content}).json()
        same = client.post(address, json={"content": content}).json()
        wrong = client.post(address, json={"content": [image(file_id="file-" + "0" * 32)]})

    assert [part["type"] for part in edited["content"]] == ["input_text", "input_image"]
    assert same["id"] == edited["id"]
    assert refusal(wrong) == (404, "not_found", "content[0].file_id")
    assert Message.objects.count() == 2


def test_a_picture_that_was_added_is_sent_to_the_model(
    server: Server, alice: Person, conversation: Conversation
) -> None:
    with server.client(alice) as client:
        add(client, conversation, user(image(image_url=data_url(PICTURE))))
        context = {"conversation_id": conversation.public_id}
        answer = client.post(PATHS["openai"], json={**chat_body("x", context=context), "messages": []})

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("part", "status", "code", "param"),
    [
        (image(file_id="file-" + "0" * 32), 404, "not_found", "file_id"),
        (file(file_id="x"), 404, "not_found", "file_id"),
        (image(image_url=data_url(b"no picture")), 400, None, "image_url"),
        (image(image_url="http://127.0.0.1:9/a.png"), 400, None, "image_url"),
    ],
)
def test_what_is_no_file_of_the_callers_is_refused_and_leaves_nothing(
    part: dict[str, Any],
    status: int,
    code: str | None,
    param: str,
    server: Server,
    alice: Person,
    conversation: Conversation,
) -> None:
    before = row_counts()
    with server.client(alice) as client:
        good = user(image(image_url=data_url(PICTURE)))
        refused = add(client, conversation, good, user({"type": "input_text", "text": "x"}, part))

    error = refused.json()["error"]
    assert refused.status_code == status, refused.text
    assert code is None or error["code"] == code
    assert error["param"].removesuffix(f".{param}") == "items[1].content[1]"
    assert row_counts() == before
    assert list(walk(alice.workspace.pk.hex)) == []


def test_another_end_users_file_is_not_found(
    server: Server, alice: Person, conversation: Conversation
) -> None:
    Conversation.objects.update(end_user="xavier")
    tokens = [f"Bearer {token_for(alice, name)}" for name in ("xavier", "yvonne")]
    with server.client(authorization=tokens[0]) as xavier, server.client(authorization=tokens[1]) as yvonne:
        hers = yvonne.post("/v1/files", files={"file": ("a.png", PICTURE)}).json()["id"]
        refused = add(xavier, conversation, user(image(file_id=hers)))

    assert refusal(refused) == (404, "not_found", "items[0].content[0].file_id")
    assert not Message.objects.exists()


def test_a_full_workspace_takes_no_more(
    server: Server, alice: Person, conversation: Conversation, settings: Settings
) -> None:
    settings.CHATAPI_MEDIA_QUOTA_BYTES = 10
    with server.client(alice) as client:
        refused = add(client, conversation, user(image(image_url=data_url(PICTURE))))

    assert refusal(refused) == (413, "storage_quota_exceeded", "items")
    assert list(walk(alice.workspace.pk.hex)) == []
