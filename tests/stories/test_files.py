"""Files over HTTP: uploaded, listed, read in parts, shown without a key, and deleted."""

import hashlib
import io
import socket
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import av
import httpx2
import numpy as np
import openai
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models.signals import ModelSignal, post_save
from django.test import Client
from django.utils import timezone
from PIL import Image
from pytest_django import Settings

from accounts.models import Workspace
from media.cleanup import delete_unused
from media.models import Asset, File, Rendition, rendition_id, rendition_name
from media.signed_urls import MAX_LIFETIME_SECONDS, media_url
from tests.support.people import Person
from tests.support.running_server import Server, wait_until

TEXT = b"Some notes.\n" * 10


@pytest.fixture(autouse=True)
def requested_renditions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How many renditions each upload requested; no worker runs here."""
    asked: list[Any] = []
    monkeypatch.setattr("media.api.uploads.notify_workers", asked.append)
    return asked


def png(width: int = 3, height: int = 2) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(out, "PNG")
    return out.getvalue()


def wav(seconds: float = 0.5) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"\1\0" * int(seconds * 16_000))
    return out.getvalue()


def upload(client: httpx2.Client, data: bytes = TEXT, name: str = "notes.txt", **fields: str) -> Any:
    answer = client.post("/v1/files", files={"file": (name, data)}, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def assert_refused(
    answer: httpx2.Response, status: int, param: str | None = None, code: str | None = None
) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    if param is not None:
        assert error["param"] == param
    if code is not None:
        assert error["code"] == code


@contextmanager
def receiving(signal: ModelSignal, receiver: Callable[..., None]) -> Iterator[None]:
    """Have the signal's receiver do something when a file's row is saved."""
    signal.connect(receiver, sender=File)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=File)


def stored_files() -> int:
    root = Path(default_storage.path(""))
    return sum(path.is_file() for path in root.rglob("*")) if root.exists() else 0


# --- what clients do --------------------------------------------------------------------------------


def test_the_sdk_uploads_lists_reads_and_deletes(server: Server, alice: Person) -> None:
    with server.sdk(alice) as sdk:
        made = sdk.files.create(file=("notes.txt", TEXT), purpose="user_data")
        expiring = sdk.files.create(
            file=("cat.png", png()),
            purpose="vision",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )

        assert made.id.startswith("file-")
        assert (made.object, made.bytes, made.filename) == ("file", len(TEXT), "notes.txt")
        assert (made.purpose, made.status, made.expires_at) == ("user_data", "processed", None)
        assert abs(made.created_at - time.time()) < 60
        assert expiring.expires_at == expiring.created_at + 3600

        assert [file.id for file in sdk.files.list()] == [expiring.id, made.id]
        assert [file.id for file in sdk.files.list(order="asc", limit=1)] == [made.id, expiring.id]
        assert [file.id for file in sdk.files.list(purpose="vision")] == [expiring.id]
        assert sdk.files.retrieve(made.id) == made
        assert sdk.files.content(made.id).content == TEXT
        with sdk.files.with_streaming_response.content(made.id) as streamed:
            assert b"".join(streamed.iter_bytes()) == TEXT

        assert sdk.files.delete(made.id).deleted
        with pytest.raises(openai.NotFoundError):
            sdk.files.retrieve(made.id)
        assert [file.id for file in sdk.files.list()] == [expiring.id]


def test_a_file_is_what_its_bytes_say(server: Server, alice: Person, requested_renditions: list[Any]) -> None:
    with server.client(alice) as client:
        picture = upload(client, png(), "notes.txt", purpose="vision")
        sound = upload(client, wav(), "x")
        text = upload(client)

    assert (picture["media_type"], picture["width"], picture["height"]) == ("image/png", 3, 2)
    assert picture["seconds"] is None
    assert (sound["media_type"], sound["seconds"], sound["width"]) == ("audio/wav", 0.5, None)
    assert (text["media_type"], text["purpose"]) == ("text/plain", "user_data")
    assert requested_renditions == [2, 2, 0]
    kinds = Rendition.objects.values_list("kind", flat=True)
    assert set(kinds) == {"picture", "thumbnail", "wav", "transcript"}


def test_the_same_bytes_are_kept_once_in_a_workspace(
    server: Server, alice: Person, bob: Person, charlie: Person
) -> None:
    with server.client(alice) as one, server.client(bob) as teammate, server.client(charlie) as stranger:
        first = upload(one, TEXT, "a.txt")
        again = upload(teammate, TEXT, "b.txt")
        elsewhere = upload(stranger, TEXT, "a.txt")

    assert len({first["id"], again["id"], elsewhere["id"]}) == 3
    assert Asset.objects.filter(workspace=alice.workspace).count() == 1
    assert Asset.objects.filter(workspace=charlie.workspace).count() == 1
    assert File.objects.count() == 3


def test_bytes_that_were_freed_meanwhile_are_stored_again(server: Server, alice: Person) -> None:
    def free(instance: File, **_: object) -> None:
        default_storage.delete(instance.asset.storage_name)

    with receiving(post_save, free), server.client(alice) as client:
        made = upload(client)
        assert client.get(f"/v1/files/{made['id']}/content").content == TEXT


def test_many_uploads_of_the_same_bytes_at_once(server: Server, alice: Person) -> None:
    with server.client(alice) as client, ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda n: upload(client, TEXT, f"{n}.txt"), range(6)))
        assert {client.get(f"/v1/files/{file['id']}/content").content for file in made} == {TEXT}
    assert Asset.objects.count() == 1


def test_a_deleted_file_frees_its_bytes_once_nothing_holds_them(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        one, other = upload(client, name="a"), upload(client, name="b")
        asset = Asset.objects.get()
        later = timezone.now() + timedelta(days=1)

        assert client.delete(f"/v1/files/{one['id']}").json() == {
            "id": one["id"],
            "object": "file",
            "deleted": True,
        }
        assert delete_unused(later) == 0
        assert client.get(f"/v1/files/{other['id']}/content").content == TEXT
        client.delete(f"/v1/files/{other['id']}")
        assert delete_unused(later) == 1
    assert not default_storage.exists(asset.storage_name)


def test_an_expired_file_is_not_found(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
        made = client.post("/v1/files", files={"file": TEXT}, data=expiry).json()
        assert client.get(f"/v1/files/{made['id']}").is_success
        File.objects.update(expires_at=timezone.now())

        for address in ("", "/content", "/renditions"):
            assert_refused(client.get(f"/v1/files/{made['id']}{address}"), 404, "file_id", "not_found")
        assert_refused(client.delete(f"/v1/files/{made['id']}"), 404)
        assert client.get("/v1/files").json()["data"] == []


def test_an_expiry_may_come_as_json(server: Server, alice: Person) -> None:
    """The API document's own page sends it this way."""
    with server.client(alice) as client:
        expiry = {"expires_after": '{"anchor": "created_at", "seconds": 3600}'}
        made = client.post("/v1/files", files={"file": TEXT}, data=expiry).json()
    assert made["expires_at"] == made["created_at"] + 3600


def test_a_list_is_read_in_pages(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        made = [upload(client, bytes([n]), str(n))["id"] for n in range(5)]
        page = client.get("/v1/files", params={"limit": 2}).json()
        assert [file["id"] for file in page["data"]] == made[:2:-1]
        assert (page["first_id"], page["last_id"], page["has_more"]) == (made[4], made[3], True)

        client.delete(f"/v1/files/{made[3]}")  # while its list is read
        page = client.get("/v1/files", params={"limit": 10_000, "after": made[3]}).json()
        assert [file["id"] for file in page["data"]] == made[2::-1]
        assert page["has_more"] is False
        page = client.get("/v1/files", params={"order": "asc", "after": made[4]}).json()
        assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"order": "up"}, "order"),
        ({"after": "file-x"}, "after"),
    ],
)
def test_a_wrong_query_is_refused(query: dict[str, str], param: str, alice: Person, client: Client) -> None:
    answer = client.get("/v1/files", query, headers=alice.headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


# --- access -----------------------------------------------------------------------------------------


def test_each_route_serves_only_the_files_workspace(
    server: Server, alice: Person, bob: Person, charlie: Person
) -> None:
    with server.client(alice) as owner:
        id = upload(owner)["id"]
    routes = [f"/v1/files/{id}", f"/v1/files/{id}/content", f"/v1/files/{id}/renditions"]

    for who in (alice, bob):
        with server.client(who) as client:
            assert all(client.get(route).status_code == 200 for route in routes)
            assert [file["id"] for file in client.get("/v1/files").json()["data"]] == [id]
    with server.client(charlie) as client:
        for route in routes:
            assert_refused(client.get(route), 404, "file_id", "not_found")
        assert_refused(client.delete(routes[0]), 404)
        assert client.get("/v1/files").json()["data"] == []
    with server.client() as client:
        for route in [*routes, "/v1/files"]:
            assert_refused(client.get(route), 401)
        assert_refused(client.delete(routes[0]), 401)
        assert_refused(client.post("/v1/files", files={"file": b"x"}), 401)
    assert File.objects.count() == 1


def test_no_body_is_read_before_the_key_is_checked(server: Server) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    head = b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head)
        assert b" 401 " in connection.recv(65536)


def test_a_browser_session_needs_its_csrf_token(server: Server, alice: Person) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice.user)
    browser.get("/accounts/login/")
    session = browser.cookies["sessionid"].value
    cookies = f"sessionid={session}; csrftoken={'t' * 32}"
    with server.client(Cookie=cookies) as client:
        forged = client.post("/v1/files", files={"file": b"x"})
        assert_refused(forged, 403, code="csrf_failed")
        own = client.post("/v1/files", files={"file": b"x"}, headers={"X-CSRFToken": "t" * 32})
        assert own.status_code == 200, own.text
        assert client.get(f"/v1/files/{own.json()['id']}/content").content == b"x"


def test_an_impossible_id_is_not_found(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        for id in ("x", "file-", "file-" + "0" * 32, "file-" + "z" * 32, "é", "%00", "a" * 3000):
            for route in (f"/v1/files/{id}", f"/v1/files/{id}/content", f"/v1/files/{id}/renditions"):
                assert_refused(client.get(route), 404)


def test_other_methods_are_told_what_is_allowed(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        id = upload(client)["id"]
        refused = client.post(f"/v1/files/{id}/content")
        assert_refused(refused, 405)
        assert refused.headers["allow"] == "GET, HEAD"
        refused = client.put("/v1/files")
        assert_refused(refused, 405)
        assert set(refused.headers["allow"].split(", ")) >= {"GET", "POST"}
        assert_refused(client.delete("/media/x"), 405)


# --- bytes ------------------------------------------------------------------------------------------


@pytest.fixture
def content(server: Server, alice: Person) -> Iterator[tuple[httpx2.Client, str, bytes]]:
    """A client, the URL of a file's content, and that content: more than two blocks."""
    data = bytes(range(256)) * 10_000
    with server.client(alice) as client:
        yield client, f"/v1/files/{upload(client, data)['id']}/content", data


Content = tuple[httpx2.Client, str, bytes]


def test_the_whole_content(content: Content) -> None:
    client, address, data = content
    whole, head = client.get(address), client.head(address)

    assert whole.content == data
    assert head.content == b""
    for answer in (whole, head):
        assert answer.status_code == 200
        assert answer.headers["content-length"] == str(len(data))
        assert answer.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == 'attachment; filename="notes.txt"'
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"].startswith("private")


def test_a_range_of_the_content(content: Content) -> None:
    client, address, data = content
    ranges = {"0-0": (0, 1), "100-199": (100, 200), "-5": (-5, None), "1000-2000000": (1000, 2_000_001)}
    for asked, (start, stop) in ranges.items():
        part = client.get(address, headers={"Range": f"bytes={asked}"})
        first, last, _ = slice(start, stop).indices(len(data))

        assert part.status_code == 206
        assert part.content == data[start:stop]
        assert part.headers["content-range"] == f"bytes {first}-{last - 1}/{len(data)}"
        assert part.headers["content-length"] == str(last - first)


def test_several_ranges_of_the_content(content: Content) -> None:
    client, address, data = content
    parts = client.get(address, headers={"Range": "bytes=0-3,1000-1500000,-2"})

    assert parts.status_code == 206
    boundary = parts.headers["content-type"].removeprefix("multipart/byteranges; boundary=")
    pieces = parts.content.split(f"\r\n--{boundary}".encode())
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    found = [piece.split(b"\r\n\r\n", 1) for piece in pieces[1:-1]]
    assert [body for _, body in found] == [data[:4], data[1000:1_500_001], data[-2:]]
    assert b"content-range: bytes 0-3/2560000" in found[0][0]
    assert b"content-type: application/octet-stream" in found[0][0]


def test_a_range_beyond_the_content_is_refused(content: Content) -> None:
    client, address, data = content
    refused = client.get(address, headers={"Range": f"bytes={len(data)}-"})

    assert_refused(refused, 416, code="range_not_satisfiable")
    assert refused.headers["content-range"] == f"bytes */{len(data)}"


def test_content_that_the_client_has_is_not_sent_again(content: Content) -> None:
    client, address, data = content
    etag = client.head(address).headers["etag"]

    known = client.get(address, headers={"If-None-Match": etag, "Range": "bytes=0-1"})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
    assert client.get(address, headers={"If-None-Match": '"other"'}).content == data
    same = client.get(address, headers={"If-Range": etag, "Range": "bytes=0-1"})
    assert (same.status_code, same.content) == (206, data[:2])
    other = client.get(address, headers={"If-Range": '"other"', "Range": "bytes=0-1"})
    assert (other.status_code, other.content) == (200, data)


def test_a_picture_is_shown_inline_and_a_name_can_do_no_harm(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        picture = upload(client, png(), '../\r\nSet-Cookie: x=1;"Bär.png')
        answer = client.get(f"/v1/files/{picture['id']}/content")
        page = upload(client, b"<html><script>alert(1)</script>", "page.html")
        script = client.get(f"/v1/files/{page['id']}/content")

    assert "\r" not in picture["filename"]
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"].startswith('inline; filename=".._')
    assert "set-cookie" not in answer.headers
    assert script.headers["content-type"] == "text/plain"
    assert script.headers["content-disposition"].startswith("attachment")


def test_bytes_that_are_lost_are_not_found(content: Content) -> None:
    client, address, _ = content
    default_storage.delete(Asset.objects.get().storage_name)
    assert_refused(client.get(address), 404)


def test_a_slow_reader_holds_no_thread(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        id = upload(client, bytes(6 * 2**20), "large")["id"]
        before = threading.active_count()
        host, _, port = server.url.removeprefix("http://").partition(":")
        head = f"GET /v1/files/{id}/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n\r\n"
        readers = [socket.create_connection((host, int(port)), timeout=5) for _ in range(30)]
        try:
            for reader in readers:
                reader.sendall(head.encode())
                assert reader.recv(15) == b"HTTP/1.1 200 OK"
            assert client.get(f"/v1/files/{id}").status_code == 200
            assert threading.active_count() < before + 20
        finally:
            for reader in readers:
                reader.close()


# --- without a key ----------------------------------------------------------------------------------


def test_a_signed_address_needs_no_key(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        picture = upload(client, png())
    with server.client() as anybody:
        shown = anybody.get(picture["url"])
        part = anybody.get(picture["url"], headers={"Range": "bytes=1-3"})
        known = anybody.get(picture["url"], headers={"If-None-Match": shown.headers["etag"]})

    assert (shown.status_code, shown.content, shown.headers["content-type"]) == (200, png(), "image/png")
    assert shown.headers["cross-origin-resource-policy"] == "cross-origin"
    assert shown.headers["access-control-allow-origin"] == "*"
    assert shown.headers["content-disposition"] == "inline"
    assert (part.status_code, part.content) == (206, b"PNG")
    assert known.status_code == 304


def test_wrong_expired_and_freed_addresses_are_not_found_and_nobody_can_tell_which(
    server: Server, alice: Person, settings: Settings
) -> None:
    with server.client(alice) as client, server.client() as anybody:
        url = upload(client)["url"]
        never = media_url(alice.workspace.id, "0" * 64)
        answers = [anybody.get(address) for address in (f"{url}x", "/media/x", "/media/%00", never)]
        settings.CHATAPI_MEDIA_URL_SECONDS = -MAX_LIFETIME_SECONDS
        answers.append(anybody.get(upload(client)["url"]))
        Asset.objects.all()[0].files.all().delete()
        answers.append(anybody.get(url))
        delete_unused(timezone.now() + timedelta(days=1))
        answers.append(anybody.get(url))

    for answer in answers:
        assert_refused(answer, 404)
    assert len({answer.text for answer in answers}) == 1


def test_a_files_renditions_are_listed_and_can_be_played(server: Server, alice: Person) -> None:
    with server.client(alice) as client:
        sound = upload(client, wav())
        asset = Asset.objects.get()
        opus = Rendition.objects.create(
            id=rendition_id(asset.id, "opus"),
            asset=asset,
            kind="opus",
            state="ready",
            workspace_id=asset.workspace_id,
        )
        Rendition.objects.filter(id=opus.id).update(media_type="audio/ogg", size=4)
        Rendition.objects.filter(kind="transcript").update(state="ready", content={"text": "Hello."})
        Rendition.objects.filter(kind="wav").update(state="failed", error="The sound is cut off.")
        default_storage.save(rendition_name(asset.workspace_id, opus.id), ContentFile(b"Opus"))

        listed = client.get(f"/v1/files/{sound['id']}/renditions").json()
    with server.client() as anybody:
        played = anybody.get(listed["data"][0]["url"], headers={"Range": "bytes=1-"})
        for kind in ("transcript", "wav", "mp3"):  # none of these is a file
            assert_refused(anybody.get(media_url(alice.workspace.id, asset.sha256, kind)), 404)

    made = {rendition["kind"]: rendition for rendition in listed["data"]}
    assert list(made) == ["opus", "transcript", "wav"]
    assert made["opus"] | {"url": None} == {
        "object": "rendition",
        "kind": "opus",
        "state": "ready",
        "error": None,
        "media_type": "audio/ogg",
        "bytes": 4,
        "url": None,
        "content": None,
    }
    assert (made["transcript"]["content"], made["transcript"]["url"]) == ({"text": "Hello."}, None)
    assert (made["wav"]["state"], made["wav"]["error"]) == ("failed", "The sound is cut off.")
    assert made["wav"]["url"] is None
    assert (played.status_code, played.content, played.headers["content-type"]) == (206, b"pus", "audio/ogg")


# --- what is refused --------------------------------------------------------------------------------


WHOLE, ANCHOR, SECONDS = "expires_after", "expires_after[anchor]", "expires_after[seconds]"
WRONG_FIELDS = [
    ({"purpose": "world-domination"}, "purpose"),
    ({"purpose": ""}, "purpose"),
    ({SECONDS: "3600"}, ANCHOR),
    ({ANCHOR: "now", SECONDS: "3600"}, ANCHOR),
    ({ANCHOR: "created_at"}, SECONDS),
    ({ANCHOR: "created_at", SECONDS: "3599"}, SECONDS),
    ({ANCHOR: "created_at", SECONDS: "2592001"}, SECONDS),
    ({ANCHOR: "created_at", SECONDS: "-1"}, SECONDS),
    ({ANCHOR: "created_at", SECONDS: "x"}, SECONDS),
    ({WHOLE: "3600"}, WHOLE),
    ({WHOLE: '{"anchor": "created_at", "seconds": "soon"}'}, WHOLE),
    ({WHOLE: '{"anchor": "created_at"}'}, SECONDS),
    ({WHOLE: '{"anchor": "created_at", "seconds": 1}'}, SECONDS),
]


def test_a_wrong_field_is_refused_and_nothing_is_kept(server: Server, alice: Person) -> None:
    before = stored_files()
    with server.client(alice) as client:
        for fields, param in WRONG_FIELDS:
            assert_refused(client.post("/v1/files", files={"file": b"x"}, data=fields), 400, param)
    assert not File.objects.exists()
    assert stored_files() == before


def test_a_damaged_picture_or_sound_is_refused(server: Server, alice: Person) -> None:
    before = stored_files()
    with server.client(alice) as client:
        for damaged in (png()[:40], wav()[:40], b"\x89PNG\r\n\x1a\n" + b"x" * 100):
            assert_refused(client.post("/v1/files", files={"file": damaged}), 400, "file", "invalid_media")
    assert not Asset.objects.exists()
    assert stored_files() == before


def test_a_file_over_the_limit_is_refused(server: Server, alice: Person, settings: Settings) -> None:
    settings.CHATAPI_MAX_UPLOAD_BYTES = 1000
    with server.client(alice) as client:
        assert_refused(client.post("/v1/files", files={"file": b"x" * 1001}), 413, code="body_too_large")
        assert client.post("/v1/files", files={"file": b"x" * 1000}).status_code == 200


def test_a_full_workspace_takes_nothing_more_and_keeps_no_bytes(server: Server, alice: Person) -> None:
    Workspace.objects.filter(pk=alice.workspace.pk).update(media_quota=len(TEXT) + 5)
    with server.client(alice) as client:
        upload(client)
        before = stored_files()
        assert_refused(
            client.post("/v1/files", files={"file": b"123456"}), 413, "file", "storage_quota_exceeded"
        )
        assert stored_files() == before
        upload(client, TEXT, "the same again.txt")
        upload(client, b"12345")


def test_a_workspace_deleted_meanwhile_is_not_a_server_error(server: Server, alice: Person) -> None:
    def delete_its_asset(instance: File, **_: object) -> None:
        Asset.objects.filter(pk=instance.asset_id).delete()

    with receiving(post_save, delete_its_asset), server.client(alice) as client:
        assert_refused(client.post("/v1/files", files={"file": b"x"}), 404)


def test_a_client_that_vanishes_leaves_nothing_behind(
    server: Server, alice: Person, settings: Settings
) -> None:
    folder = Path(settings.DATA_DIR) / "tmp"
    host, _, port = server.url.removeprefix("http://").partition(":")
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    )
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head.encode() + b"x" * 1_000_000)
        wait_until(lambda: any(folder.glob("*/upload")))
    wait_until(lambda: not any(folder.glob("*")))
    assert not File.objects.exists()


def silent_film() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return out.getvalue()


def adpcm() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="wav") as sound:
        stream = sound.add_stream("adpcm_ima_wav", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2041), np.int16), "s16p", "mono")
        frame.rate = 16_000
        sound.mux(stream.encode(frame))
        sound.mux(stream.encode())
    return out.getvalue()


@pytest.mark.parametrize("make", [silent_film, adpcm])
def test_a_file_without_sound_that_can_be_heard_here_is_kept_like_any_other(
    server: Server, alice: Person, requested_renditions: list[Any], make: Callable[[], bytes]
) -> None:
    data = make()
    with server.client(alice) as client:
        file = upload(client, data, "film.bin")
        content = client.get(f"/v1/files/{file['id']}/content")
    assert content.content == data
    assert requested_renditions == [0]
    assert Asset.objects.get().media_type == "application/octet-stream"
