"""Deleting a conversation over HTTP: who may, what is deleted with it, and what stays."""

from datetime import timedelta
from typing import Any

import openai
import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from conversations.models import Completion, Conversation, ConversationAsset, Message
from engines.messages import ImagePart
from media.cleanup import delete_unused
from media.models import Asset, File, asset_id, storage_name
from tests.support.history_rows import add_message, conversation_of, create_exchange, store_held_file
from tests.support.people import Person, person
from tests.support.running_server import Server, events, text_of
from tests.support.running_server import chat_body as request_body

LATER = timedelta(hours=2)
FOR_GOOD = "?permanently=true"


def address(conversation: Conversation) -> str:
    return f"/v1/conversations/{conversation.public_id}"


def test_a_conversation_is_deleted_and_kept_for_a_while(alice: Person, client: Client) -> None:
    gone, stays = create_exchange(alice).stored_conversation, create_exchange(alice).stored_conversation

    answer = client.delete(address(gone), headers=alice.headers)

    assert answer.status_code == 200
    assert answer.json() == {"id": gone.public_id, "object": "conversation.deleted", "deleted": True}
    assert list(Conversation.objects.filter(deleted_at=None)) == [stays]
    assert (Message.objects.count(), Completion.objects.count()) == (4, 2)


@pytest.mark.parametrize("kept_days", [30, 0])
def test_it_is_deleted_for_good_with_its_messages_and_completions(
    kept_days: int, alice: Person, client: Client, settings: Any
) -> None:
    settings.CHATAPI_DELETED_KEPT_DAYS = kept_days
    gone, stays = create_exchange(alice).stored_conversation, create_exchange(alice).stored_conversation
    query = FOR_GOOD if kept_days else ""

    answer = client.delete(address(gone) + query, headers=alice.headers)

    assert answer.json() == {"id": gone.public_id, "object": "conversation.deleted", "deleted": True}
    assert list(Conversation.objects.all()) == [stays]
    assert (Message.objects.count(), Completion.objects.count()) == (2, 1)


@pytest.mark.parametrize(
    ("query", "param"),
    [("?permanent=true", "permanent"), ("?permanently=yes", "permanently"), ("?permanently=", "permanently")],
)
def test_what_is_misspelled_deletes_nothing(query: str, param: str, alice: Person, client: Client) -> None:
    conversation = create_exchange(alice).stored_conversation

    answer = client.delete(address(conversation) + query, headers=alice.headers)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert Conversation.objects.filter(deleted_at=None).exists()


def test_what_was_deleted_can_still_be_deleted_for_good(alice: Person, client: Client) -> None:
    conversation = create_exchange(alice).stored_conversation
    client.delete(address(conversation), headers=alice.headers)

    assert client.delete(address(conversation) + FOR_GOOD, headers=alice.headers).status_code == 200
    assert not Conversation.objects.exists()


def test_a_teammate_may_delete_it(alice: Person, bob: Person, client: Client) -> None:
    conversation = create_exchange(alice).stored_conversation

    assert client.delete(address(conversation), headers=bob.headers).status_code == 200
    assert not Conversation.objects.filter(deleted_at=None).exists()


def test_a_stranger_does_not_find_it(alice: Person, charlie: Person, client: Client) -> None:
    conversation = create_exchange(alice).stored_conversation

    answer = client.delete(address(conversation), headers=charlie.headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert Message.objects.count() == 2


@pytest.mark.parametrize(("headers", "code"), [({}, None), ({"x-api-key": "sk-wrong"}, "invalid_api_key")])
def test_an_unauthenticated_client_is_asked_for_a_key(
    headers: dict[str, str], code: str | None, alice: Person, client: Client
) -> None:
    conversation = create_exchange(alice).stored_conversation

    answer = client.delete(address(conversation), headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
    assert Conversation.objects.exists()


def test_a_browser_session_needs_its_csrf_token(db: None) -> None:
    dana = person("dana@example.com")
    conversation = create_exchange(dana).stored_conversation
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(dana.user)

    assert browser.delete(address(conversation)).status_code == 403
    assert Conversation.objects.exists()


@pytest.mark.parametrize("id", ["x", "conv_", "conv_" + "0" * 32, "chatcmpl-" + "0" * 32, "é", "%00"])
def test_an_impossible_id_is_not_found(id: str, alice: Person, client: Client) -> None:
    assert client.delete(f"/v1/conversations/{id}", headers=alice.headers).status_code == 404


def test_a_deleted_conversation_is_not_found(alice: Person, client: Client) -> None:
    completion = create_exchange(alice)
    conversation = completion.stored_conversation
    client.delete(address(conversation), headers=alice.headers)

    for gone in (
        client.delete(address(conversation), headers=alice.headers),
        client.get(f"{address(conversation)}/items", headers=alice.headers),
        client.get(f"/v1/chat/completions/{completion.public_id}", headers=alice.headers),
    ):
        assert gone.status_code == 404


def test_files_that_nothing_else_holds_are_freed(alice: Person, client: Client) -> None:
    conversation, other = conversation_of(alice), conversation_of(alice)
    only = store_held_file(conversation, b"only here", "image/png", "thumbnail")
    shared = store_held_file(conversation, b"here and there", "image/png")
    store_held_file(other, b"here and there", "image/png")
    uploaded = store_held_file(conversation, b"uploaded too", "image/png")
    upload = asset_id(alice.workspace.id, uploaded.sha256)
    File.objects.create(workspace=alice.workspace, asset_id=upload, filename="a.png", purpose="vision")
    add_message(conversation, "user", ImagePart(only), ImagePart(shared), ImagePart(uploaded))

    client.delete(address(conversation) + FOR_GOOD, headers=alice.headers)
    delete_unused(timezone.now() + LATER)

    assert set(Asset.objects.values_list("sha256", flat=True)) == {shared.sha256, uploaded.sha256}
    assert ConversationAsset.objects.count() == 1
    assert [
        default_storage.exists(storage_name(alice.workspace.id, blob.sha256))
        for blob in (only, shared, uploaded)
    ] == [False, True, True]


def test_an_answer_in_progress_is_stored_unless_it_is_to_be_deleted_for_good(
    server: Server, alice: Person
) -> None:
    body = request_body("[[slow: 0.02]] [[chunks: 40]]", stream=True)
    with server.client(alice) as client, server.client(alice) as other:
        with client.stream("POST", "/v1/chat/completions", json=body) as stream:
            path = f"/v1/conversations/{stream.headers['x-conversation-id']}"
            refused = other.delete(path + FOR_GOOD)
            deleted = other.delete(path)
            stream.read()
        chunks: list[Any] = events(stream)
        server.until_idle()
        restored = other.post(f"{path}/restore").json()

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "in_progress")
    assert deleted.status_code == 200
    assert text_of(chunks).endswith("w40")
    assert chunks[-1] == "[DONE]"
    assert (restored["state"], restored["message_count"], restored["deleted_at"]) == ("completed", 2, None)
    assert Message.objects.filter(role="assistant").get().public_id == restored["head_id"]


def test_openais_client_deletes(server: Server, alice: Person) -> None:
    conversation = create_exchange(alice).stored_conversation

    with server.sdk(alice) as sdk:
        deleted = sdk.conversations.delete(conversation.public_id)
        with pytest.raises(openai.NotFoundError):
            sdk.conversations.retrieve(conversation.public_id)

    assert (deleted.id, deleted.object, deleted.deleted) == (
        conversation.public_id,
        "conversation.deleted",
        True,
    )
