"""A deleted file is gone at once, at every URL that it ever had, though its bytes are freed later."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx2
import pytest
from django.utils import timezone

from accounts.deletion import delete_workspace
from accounts.models import Workspace
from conversations.deletion import delete_conversations
from conversations.models import Conversation
from engines.messages import ImagePart
from media.models import Asset, File
from media.storage.operations import exists
from tests.support.history_rows import add_message, conversation_of, store_held_file
from tests.support.media_requests import make_due_renditions, wait_for_renditions
from tests.support.people import Person
from tests.support.pictures import encode_picture, quarters
from tests.support.running_server import Server

PICTURE = encode_picture(quarters(60, 40))
CONDITIONS: list[tuple[str, dict[str, str]]] = [
    ("GET", {}),
    ("HEAD", {}),
    ("GET", {"Range": "bytes=0-3"}),
    ("GET", {"Range": "bytes=9999-"}),
    ("GET", {"If-None-Match": "*"}),
    ("HEAD", {"If-None-Match": "*"}),
]


@pytest.fixture
def anybody(server: Server) -> Iterator[httpx2.Client]:
    with server.client() as client:
        yield client


def upload(server: Server, who: Person, data: bytes = PICTURE) -> tuple[str, list[str]]:
    """Upload a file. Return its id and all its URLs."""
    with server.client(who) as client:
        file = client.post("/v1/files", files={"file": ("a.png", data)}).json()
        wait_for_renditions()
        renditions = client.get(f"/v1/files/{file['id']}/renditions").json()["data"]
    return file["id"], [file["url"], *(one["url"] for one in renditions if one["url"])]


def send(server: Server, who: Person) -> tuple[Conversation, list[str]]:
    """Let a conversation hold the picture. Return it, and all URLs that its history shows."""
    conversation = conversation_of(who)
    blob = store_held_file(conversation, PICTURE, "image/png", "picture", "thumbnail")
    add_message(conversation, "user", ImagePart(blob))
    make_due_renditions()
    with server.client(who) as client:
        [item] = client.get(f"/v1/conversations/{conversation.public_id}/items").json()["data"]
    [part] = item["content"]
    return conversation, [part["image_url"], part["asset"]["url"], part["thumbnail_url"]]


def statuses(anybody: httpx2.Client, urls: list[str]) -> set[int]:
    return {anybody.get(url).status_code for url in urls}


def assert_gone(anybody: httpx2.Client, urls: list[str]) -> None:
    assert len(urls) > 1
    for url in urls:
        for method, headers in CONDITIONS:
            answer = anybody.request(method, url, headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert all(exists(asset.storage_name) for asset in Asset.objects.all())


def delete_upload(server: Server, who: Person, file_id: str) -> None:
    with server.client(who) as client:
        assert client.delete(f"/v1/files/{file_id}").status_code == 200
        assert client.get(f"/v1/files/{file_id}/content").status_code == 404


def test_a_deleted_upload_is_gone_although_others_have_the_same_bytes(
    server: Server, alice: Person, bob: Person, charlie: Person, anybody: httpx2.Client
) -> None:
    file_id, urls = upload(server, alice)
    others = [*upload(server, bob)[1], *upload(server, charlie)[1], *send(server, alice)[1]]
    assert statuses(anybody, [*urls, *others]) == {200}
    etag = anybody.get(urls[0]).headers["etag"]

    delete_upload(server, alice, file_id)

    assert_gone(anybody, urls)
    assert anybody.get(urls[0], headers={"If-None-Match": etag}).status_code == 404
    assert statuses(anybody, others) == {200}


def test_the_same_file_uploaded_again_does_not_bring_old_urls_back(
    server: Server, alice: Person, anybody: httpx2.Client
) -> None:
    file_id, urls = upload(server, alice)
    delete_upload(server, alice, file_id)
    _, again = upload(server, alice)
    assert_gone(anybody, urls)
    assert statuses(anybody, again) == {200}


def test_an_expired_upload_is_gone_before_it_is_swept(
    server: Server, alice: Person, anybody: httpx2.Client
) -> None:
    _, urls = upload(server, alice)
    File.objects.update(expires_at=timezone.now() - timedelta(milliseconds=1))
    assert_gone(anybody, urls)


def over_the_api(server: Server, who: Person, conversation: Conversation) -> None:
    with server.client(who) as client:
        assert client.delete(f"/v1/conversations/{conversation.public_id}").status_code == 200


def by_an_administrator(server: Server, who: Person, conversation: Conversation) -> None:
    delete_conversations(Conversation.objects.filter(pk=conversation.pk))


@pytest.mark.parametrize("delete", [over_the_api, by_an_administrator])
def test_a_file_goes_with_its_conversation(
    server: Server,
    alice: Person,
    anybody: httpx2.Client,
    delete: Callable[[Server, Person, Conversation], None],
) -> None:
    conversation, urls = send(server, alice)
    _, others = send(server, alice)
    assert statuses(anybody, [*urls, *others]) == {200}
    delete(server, alice, conversation)
    assert_gone(anybody, urls)
    assert statuses(anybody, others) == {200}


def test_files_go_with_their_workspace(
    server: Server, alice: Person, charlie: Person, anybody: httpx2.Client
) -> None:
    urls = [*upload(server, alice)[1], *send(server, alice)[1]]
    _, others = upload(server, charlie)
    delete_workspace(Workspace.objects.get(pk=alice.workspace.pk))
    assert_gone(anybody, urls)
    assert statuses(anybody, others) == {200}


def test_a_download_that_has_begun_is_finished(server: Server, alice: Person, anybody: httpx2.Client) -> None:
    data = b"x" * 2**24
    file_id, [url] = upload(server, alice, data)
    with anybody.stream("GET", url) as download:
        pieces = download.iter_raw()
        read = len(next(pieces))
        delete_upload(server, alice, file_id)
        assert read + sum(map(len, pieces)) == len(data)
