"""A person takes their data with them, as a ZIP that is made in the background and kept for some days."""

import json
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx2
import pytest
from django.test import Client
from django.utils import timezone

from accounts.data_export import ExportedFile, safe_name
from accounts.deletion import delete_own_account
from accounts.secret_digests import digest_of
from chatapi.data_export.archive import write_archive
from chatapi.data_export.exports import LEASE, delete_expired_exports, make_due_exports, request_export
from chatapi.models import DataExport
from conversations.models import Conversation
from engines.messages import AudioPart, FilePart, ImagePart
from media.cleanup import remove_strays
from media.models import File, asset_id
from media.storage.operations import delete_tree, exists, local_copy, open_range, save_file, walk
from tests.support.history_rows import add_message, conversation_of, create_exchange, store_held_file
from tests.support.killed_process import kill_where_it_stalls
from tests.support.people import Person, signed_in
from tests.support.priced_usage import add_credit
from tests.support.running_server import Server, chat_body, wait_until

ROUTES = [
    ("POST", "/v1/me/exports"),
    ("GET", "/v1/me/exports"),
    ("GET", "/v1/me/exports/{id}"),
    ("DELETE", "/v1/me/exports/{id}"),
    ("GET", "/v1/me/exports/{id}/content"),
]
OF_ONE = [route for route in ROUTES if "{id}" in route[1]]
HOSTILE_NAMES = [
    "../../etc/passwd",
    "..\\..\\evil.exe",
    "family 👨‍👩‍👧 naïve.png",
    "a\u202egnp.exe",
    "/",
    "x" * 255,
]


@pytest.fixture(autouse=True)
def no_archives() -> None:
    delete_tree("exports")


@pytest.fixture
def browser(server: Server, alice: Person) -> Iterator[httpx2.Client]:
    with browsing(server, alice) as client:
        yield client


def browsing(server: Server, who: Person) -> httpx2.Client:
    client = server.client(None, **{"x-csrftoken": "t" * 32})
    client.cookies.update(
        {"sessionid": signed_in(who.user).cookies["sessionid"].value, "csrftoken": "t" * 32}
    )
    return client


def ready_export(who: Person) -> DataExport:
    export = request_export(who.user)
    make_due_exports()  # unless the server's worker is just making it
    wait_until(lambda: DataExport.objects.filter(pk=export.pk).exclude(state="pending").exists())
    export.refresh_from_db()
    assert export.state == "ready"
    return export


def request_export_quietly(who: Person) -> DataExport:
    """Ask for an export as if the broker had lost the message."""
    return DataExport.objects.create(user=who.user)


def archive_of(export: DataExport) -> ZipFile:
    with local_copy(export.storage_name) as path:
        return ZipFile(BytesIO(path.read_bytes()))


def upload(who: Person, data: bytes, name: str, media_type: str = "text/plain") -> File:
    conversation = conversation_of(who)
    blob = store_held_file(conversation, data, media_type)
    conversation.delete()
    asset = asset_id(who.workspace.id, blob.sha256)
    return File.objects.create(
        workspace=who.workspace, user=who.user, asset_id=asset, filename=name, purpose="user_data"
    )


def read_json(archive: ZipFile, name: str) -> Any:
    return json.loads(archive.read(name))


# --- the whole way ------------------------------------------------------------------------------------


def test_alice_asks_waits_and_downloads(server: Server, alice: Person, browser: httpx2.Client) -> None:
    conversation = create_exchange(alice, "Where is the fox? 🦊").stored_conversation

    asked = browser.post("/v1/me/exports")
    assert (asked.status_code, asked.headers["cache-control"]) == (202, "no-store")
    export = asked.json()
    assert export["id"].startswith("export_")
    address = f"/v1/me/exports/{export['id']}"
    wait_until(lambda: browser.get(address).json()["status"] == "ready")
    ready = browser.get(address).json()
    content = browser.get(ready["content_url"])

    assert ready["object"] == "export"
    assert ready["expires_at"] - ready["created_at"] >= 7 * 24 * 3600
    assert (content.status_code, len(content.content)) == (200, ready["bytes"])
    assert content.headers["content-type"] == "application/zip"
    assert content.headers["content-disposition"].startswith("attachment; filename=")
    assert browser.get(ready["content_url"], headers={"Range": "bytes=0-1"}).content == b"PK"
    with ZipFile(BytesIO(content.content)) as archive:
        assert archive.testzip() is None
        assert f"conversations/{conversation.public_id}.json" in archive.namelist()
    assert [one["id"] for one in browser.get("/v1/me/exports").json()["data"]] == [export["id"]]
    assert browser.delete(address).json() == {
        "id": export["id"],
        "object": "export.deleted",
        "deleted": True,
    }
    assert {browser.get(url).status_code for url in (address, ready["content_url"])} == {404}
    assert list(walk("exports")) == []


# --- who may --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "route"), OF_ONE)
def test_bob_and_charlie_do_not_find_alices_export(
    server: Server, alice: Person, bob: Person, charlie: Person, method: str, route: str
) -> None:
    export = ready_export(alice)
    for who in (bob, charlie):
        with browsing(server, who) as stranger:
            answer = stranger.request(method, route.format(id=export.public_id))
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
            assert stranger.get("/v1/me/exports").json()["data"] == []
    assert DataExport.objects.exists()


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_neither_a_key_nor_nobody_may(server: Server, alice: Person, method: str, route: str) -> None:
    address = route.format(id=ready_export(alice).public_id)
    with server.client(alice) as by_key, server.client() as nobody:
        by_key_answer, nobodys = by_key.request(method, address), nobody.request(method, address)
    assert (by_key_answer.status_code, by_key_answer.json()["error"]["code"]) == (403, "session_required")
    assert nobodys.status_code == 401
    assert DataExport.objects.count() == 1


@pytest.mark.parametrize("id", ["x", "export_", "export_" + "0" * 32, "é", "%00", "..%2f..%2fx"])
def test_an_impossible_id_is_not_found(server: Server, browser: httpx2.Client, id: str) -> None:
    for path in (f"/v1/me/exports/{id}", f"/v1/me/exports/{id}/content"):
        assert browser.get(path).status_code == 404


def test_what_is_pending_has_no_content_and_is_not_asked_for_twice(alice: Person) -> None:
    client = signed_in(alice.user)
    first, second = (client.post("/v1/me/exports").json() for _ in range(2))
    assert first == second
    assert (first["status"], first["bytes"], first["content_url"], first["expires_at"]) == (
        "pending",
        None,
        None,
        None,
    )


def test_a_session_asks_with_its_csrf_token(alice: Person) -> None:
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(alice.user)
    assert forged.post("/v1/me/exports").json()["error"]["code"] == "csrf_failed"
    assert not DataExport.objects.exists()


# --- what is in it --------------------------------------------------------------------------------------


def without_urls(node: Any) -> Any:
    if isinstance(node, dict):
        shown = {key: without_urls(value) for key, value in node.items()}
        addresses = {"url", "thumbnail_url", "image_url", "file_url"}
        return {key: value for key, value in shown.items() if key not in addresses}
    return [without_urls(one) for one in node] if isinstance(node, list) else node


def test_its_conversations_are_as_the_api_shows_them(client: Client, alice: Person) -> None:
    conversation = create_exchange(alice, "/media/ is a path, 🦊 said").stored_conversation
    blob = store_held_file(conversation, b"a picture", "image/png", "thumbnail")
    sound = store_held_file(conversation, b"a sound", "audio/wav", "opus")
    parts = (ImagePart(blob), AudioPart(sound, "wav"), FilePart(blob, "a.png"))
    add_message(conversation, "user", *parts, after=conversation.head)

    with archive_of(ready_export(alice)) as archive:
        exported = read_json(archive, f"conversations/{conversation.public_id}.json")
        picture = archive.read(f"files/{blob.sha256}.png")

    address = f"/v1/conversations/{conversation.public_id}"
    items = client.get(f"{address}/items?order=asc", headers=alice.headers).json()["data"]
    assert items[-1]["content"][0]["image_url"].startswith("http://testserver/media/")
    assert exported.pop("items") == without_urls(items)
    assert exported == client.get(address, headers=alice.headers).json()
    assert picture == b"a picture"


def test_its_files_are_as_they_were_sent_and_their_names_harm_nobody(
    client: Client, alice: Person, tmp_path: Path
) -> None:
    files = [upload(alice, f"text {n}".encode(), name) for n, name in enumerate(HOSTILE_NAMES)]

    with archive_of(ready_export(alice)) as archive:
        index = {one["id"]: one for one in read_json(archive, "files.json")["data"]}
        shown = client.get("/v1/files?limit=100", headers=alice.headers).json()["data"]
        for n, file in enumerate(files):
            assert archive.read(index[file.public_id]["path"]) == f"text {n}".encode()
        for name in archive.namelist():
            assert not name.startswith(("/", "."))
            assert not {"..", "\\"} & {*name.split("/"), *name}
            assert (tmp_path / name).resolve().is_relative_to(tmp_path)
    for file in without_urls(shown):
        assert index[file["id"]].items() >= file.items()
    assert index[files[2].public_id]["path"].endswith("family 👨‍👩‍👧 naïve.png")


@pytest.mark.parametrize(
    ("name", "safe"),
    [("../../x", "_.._x"), ("...", "_"), ("a\0b\nc", "a_b_c"), ("CON:", "CON_"), ("\ud800", "_"), ("", "_")],
)
def test_a_name_is_one_name(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_it_tells_who_she_is_and_no_secret(alice: Person, bob: Person) -> None:
    key = alice.user.api_keys.get()
    with archive_of(ready_export(bob)) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
        user = read_json(archive, "user.json")
        assert user["addresses"] == [{"email": "bob@example.com", "verified": True, "primary": True}]
        assert {"second_factors", "sessions", "other_sign_ins"} <= set(user)
        kinds = [event["kind"] for event in read_json(archive, "security_events.json")["data"]]
        assert "key_created" in kinds
    hers = bob.user.api_keys.get()
    assert (user["email"], user["id"]) == ("bob@example.com", f"user-{bob.user.pk}")
    assert [one["role"] for one in user["workspaces"]] == ["owner", "member"]
    assert [one["prefix"] for one in user["api_keys"]] == [hers.prefix]
    for secret in (bob.key, digest_of(bob.key), bob.user.password, key.prefix):
        assert secret not in everything


def test_of_a_shared_workspace_it_holds_only_what_is_bobs_own(alice: Person, bob: Person) -> None:
    theirs = create_exchange(alice, "Alice asks").stored_conversation
    mine = create_exchange(bob, "Bob asks").stored_conversation
    Conversation.objects.filter(pk=mine.pk).update(user=bob.user, api_key=None)
    sent, others = store_held_file(mine, b"bob's", "image/png"), store_held_file(theirs, b"hers", "image/png")
    his_file, her_file = upload(bob, b"his upload", "his.txt"), upload(alice, b"her upload", "her.txt")

    with archive_of(ready_export(bob)) as archive:
        names = archive.namelist()

    assert [name for name in names if name.startswith("conversations/")] == [
        f"conversations/{mine.public_id}.json"
    ]
    assert f"files/{sent.sha256}.png" in names
    assert f"files/{others.sha256}.png" not in names
    assert f"files/{his_file.public_id}-his.txt" in names
    assert not [name for name in names if her_file.public_id in name]


def test_what_bob_keeps_private_in_alices_own_workspace_is_not_hers(alice: Person, bob: Person) -> None:
    hers, his = (create_exchange(who, "Who asks?").stored_conversation for who in (alice, bob))
    Conversation.objects.filter(pk=his.pk).update(user=bob.user, api_key=None)
    both, only_his = b"sent by both", b"sent by Bob"
    store_held_file(hers, both, "image/png")
    for data in (both, only_his):
        store_held_file(his, data, "image/png")
    secret = upload(bob, b"his upload", "his.txt")

    with archive_of(ready_export(alice)) as archive:
        names = set(archive.namelist())

    assert {name for name in names if name.startswith("conversations/")} == {
        f"conversations/{hers.public_id}.json"
    }
    assert f"files/{sha256(both).hexdigest()}.png" in names
    assert f"files/{sha256(only_his).hexdigest()}.png" not in names
    assert not [name for name in names if secret.public_id in name or secret.asset.sha256 in name]


def test_it_tells_what_was_used(server: Server, alice: Person) -> None:
    add_credit(alice, 10**9)
    with server.client(alice) as client:
        made = client.post("/v1/chat/completions", json=chat_body("Hi") | {"model": "priced"}).json()
    server.until_idle()
    with archive_of(ready_export(alice)) as archive:
        head, row = (line.split(",") for line in archive.read("usage.csv").decode().splitlines())
    used = dict(zip(head, row, strict=True))
    assert (used["completion_id"], used["model"]) == (made["id"], "priced")
    assert int(used["prompt"]) == made["usage"]["prompt_tokens"]
    assert float(used["cost_usd"]) > 0


def test_a_file_that_is_gone_or_has_no_room_is_named(tmp_path: Path) -> None:
    missing = open_range("exports/missing", 0, 3)
    files = [
        ExportedFile("note.txt", [b"a", b"b"]),
        ExportedFile("gone.png", missing, size=3),
        ExportedFile("large.wav", [b"x" * 100], size=100),
        ExportedFile("small.wav", [b"y"], size=1),
        ExportedFile("small.wav", [b"twice"], size=1),
    ]
    size = write_archive(tmp_path / "a.zip", files, lambda: None, max_bytes=150)
    with ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["note.txt", "small.wav", "export.json"]
        left = {one["path"] for one in read_json(archive, "export.json")["left_out"]}
        assert archive.read("note.txt") == b"ab"
    assert left == {"gone.png", "large.wav"}
    assert size == (tmp_path / "a.zip").stat().st_size


# --- workers and time -------------------------------------------------------------------------------


def test_what_a_dead_worker_left_is_made_once_its_lease_has_ended(alice: Person, charlie: Person) -> None:
    export = request_export(alice.user)
    DataExport.objects.update(attempts=1, due_at=timezone.now() + LEASE)
    request_export(charlie.user)
    assert make_due_exports() == 0  # one at a time

    DataExport.objects.filter(pk=export.pk).update(due_at=timezone.now())
    assert make_due_exports() == 2

    export.refresh_from_db()
    assert (export.state, export.attempts) == ("ready", 2)


def test_another_worker_makes_what_a_killed_one_had_begun(transactional_db: None, alice: Person) -> None:
    conversation = create_exchange(alice).stored_conversation
    export = request_export_quietly(alice)
    kill_where_it_stalls("""
from accounts.data_export import register_exporter
from chatapi.data_export.exports import make_due_exports
register_exporter("stalling", stall)
make_due_exports()
""")
    assert make_due_exports() == 0
    export.refresh_from_db()
    assert (export.state, export.attempts) == ("pending", 1)

    DataExport.objects.update(due_at=timezone.now())  # two minutes later
    assert make_due_exports() == 1

    export.refresh_from_db()
    assert [found.name for found in walk("exports")] == [export.storage_name]
    with archive_of(export) as archive:
        assert f"conversations/{conversation.public_id}.json" in archive.namelist()


def test_what_kills_each_worker_is_given_up(alice: Person) -> None:
    request_export(alice.user)
    DataExport.objects.update(attempts=3, due_at=timezone.now())
    assert make_due_exports() == 0
    [shown] = signed_in(alice.user).get("/v1/me/exports").json()["data"]
    assert (shown["status"], shown["content_url"]) == ("failed", None)
    assert request_export(alice.user).state == "pending"


def test_a_new_export_replaces_the_one_before(alice: Person) -> None:
    first = ready_export(alice)
    second = ready_export(alice)
    assert list(DataExport.objects.all()) == [second]
    assert [found.name for found in walk("exports")] == [second.storage_name]
    assert not exists(first.storage_name)


def test_exports_expire_with_their_archives(alice: Person) -> None:
    export = ready_export(alice)
    now = timezone.now()
    remove_strays(now + timedelta(days=6))
    assert delete_expired_exports(now + timedelta(days=6)) == 0
    assert exists(export.storage_name)

    assert delete_expired_exports(now + timedelta(days=8)) == 1

    assert not DataExport.objects.exists()
    assert not exists(export.storage_name)


def test_an_archive_without_a_row_is_swept(alice: Person, tmp_path: Path) -> None:
    export = ready_export(alice)
    draft = tmp_path / "x"
    draft.write_bytes(b"left by a dead worker")
    stray = export.storage_name.replace("-1.zip", "-0.zip")
    save_file(stray, draft)

    assert delete_expired_exports() == 0
    assert delete_expired_exports(timezone.now() + timedelta(days=2)) == 1
    assert (exists(stray), exists(export.storage_name)) == (False, True)


def test_exports_go_with_their_user(transactional_db: None, alice: Person, charlie: Person) -> None:
    gone, kept = ready_export(alice), ready_export(charlie)
    request_export(alice.user)

    delete_own_account(alice.user)

    assert list(DataExport.objects.all()) == [kept]
    assert (exists(gone.storage_name), exists(kept.storage_name)) == (False, True)
    assert make_due_exports() == 0
