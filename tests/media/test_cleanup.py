"""Cleanup frees unreferenced files and only those, even after a crash or with concurrent uploads."""

import hashlib
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from accounts.keys.validation import principal_of_secret
from accounts.principal import Caller
from accounts.secret_digests import digest_of
from conversations.asset_holds import hold_files
from conversations.deletion import delete_conversations
from conversations.models import Conversation
from core.blob import Blob
from media.cleanup import (
    STRAY_AGE,
    UNHELD_GRACE,
    delete_asset,
    delete_dependent_rows,
    delete_unregistered,
    delete_unused,
    find_strays,
    remove_stray,
    remove_strays,
)
from media.file_library import NewFile, create_file
from media.models import (
    Asset,
    File,
    RemoteCopy,
    Rendition,
    asset_id,
    rendition_id,
    rendition_name,
    storage_name,
)
from media.services import StoredFile, record_copies, register_files, store_bytes
from media.storage.operations import exists, walk
from tests.support.history_rows import conversation_of
from tests.support.hooked_storage import hook_storage
from tests.support.people import Person

DATA = b"the bytes of a picture"
SHA256 = hashlib.sha256(DATA).hexdigest()
STORED = StoredFile(Blob(SHA256, "image/png", len(DATA)), renditions=("picture", "thumbnail"))
LATER = UNHELD_GRACE + timedelta(minutes=1)


Hook = Callable[..., None]


@pytest.fixture(autouse=True)
def hook(tmp_path: Path, settings: Any) -> Hook:
    """A storage of the test's own. The fixture's value gives it other hooks, or none."""

    def hook(**hooks: Callable[[str], object]) -> None:
        hook_storage(settings, tmp_path, **hooks)

    hook()
    return hook


def names() -> set[str]:
    return {found.name for found in walk("")}


def later() -> Any:
    return timezone.now() + LATER


def asset_of(who: Person) -> Asset:
    return Asset.objects.get(id=asset_id(who.workspace.id, SHA256))


def stored(who: Person) -> Asset:
    """Store bytes and rows that nothing holds, with one rendition ready."""
    store_bytes(who.workspace.id, {SHA256: DATA})
    register_files([(who.workspace.id, STORED)])
    asset = asset_of(who)
    thumbnail = rendition_id(asset.id, "thumbnail")
    default_storage.save(rendition_name(who.workspace.id, thumbnail), ContentFile(b"small"))
    Rendition.objects.filter(id=thumbnail).update(state="ready")
    return asset


def uploaded(who: Person, expires_after: int | None = None) -> File:
    store_bytes(who.workspace.id, {SHA256: DATA})
    caller = Caller(principal_of_secret(who.key), digest_of(who.key))
    return create_file(NewFile(caller, "a.png", STORED, "vision", expires_after))


def held_by_conversation(who: Person) -> Conversation:
    conversation = conversation_of(who)
    hold_files([(who.workspace.id, conversation.id, STORED)])
    return conversation


def is_whole(who: Person) -> bool:
    """Whether the asset's bytes exist, and those of every rendition that is marked as ready."""
    asset = asset_of(who)
    ready = asset.renditions.filter(state="ready").values_list("id", flat=True)
    return exists(asset.storage_name) and all(exists(rendition_name(who.workspace.id, id)) for id in ready)


# --- what holds a file ------------------------------------------------------------------------------


def test_an_asset_that_nothing_holds_is_freed_with_its_renditions(alice: Person) -> None:
    stored(alice)
    assert len(names()) == 2
    assert delete_unused(later()) == 1
    assert names() == set()
    assert not Asset.objects.exists()
    assert not Rendition.objects.exists()
    assert delete_unused(later()) == 0


def test_a_new_asset_has_time_to_be_held(alice: Person) -> None:
    stored(alice)
    assert delete_unused() == 0
    assert is_whole(alice)


def test_a_deleted_conversation_frees_its_files(alice: Person) -> None:
    stored(alice)
    conversation = held_by_conversation(alice)
    assert delete_unused(later()) == 0
    delete_conversations(Conversation.objects.filter(id=conversation.id))
    assert delete_unused(later()) == 1
    assert names() == set()


def test_an_asset_that_another_conversation_or_an_upload_holds_stays(alice: Person) -> None:
    stored(alice)
    first, second = held_by_conversation(alice), held_by_conversation(alice)
    file = uploaded(alice)
    delete_conversations(Conversation.objects.filter(id=first.id))
    assert delete_unused(later()) == 0
    file.delete()
    assert delete_unused(later()) == 0
    assert is_whole(alice)
    delete_conversations(Conversation.objects.filter(id=second.id))
    assert delete_unused(later()) == 1


def test_the_last_of_two_uploads_of_the_same_bytes_frees_them(alice: Person) -> None:
    first, second = uploaded(alice), uploaded(alice)
    first.delete()
    assert delete_unused(later()) == 0
    second.delete()
    assert delete_unused(later()) == 1


def test_an_upload_goes_when_it_has_expired_and_not_before(alice: Person) -> None:
    uploaded(alice, expires_after=3 * 3600)
    assert delete_unused(timezone.now() + timedelta(hours=2)) == 0
    assert is_whole(alice)
    assert delete_unused(timezone.now() + timedelta(hours=4)) == 1
    assert names() == set()
    assert not File.objects.exists()


def test_the_same_bytes_of_another_workspace_are_another_file(alice: Person, charlie: Person) -> None:
    stored(alice)
    stored(charlie)
    held_by_conversation(charlie)
    assert delete_unused(later()) == 1
    assert not Asset.objects.filter(workspace=alice.workspace).exists()
    assert is_whole(charlie)
    assert {name.split("/")[0] for name in names()} == {charlie.workspace.id.hex}


def test_a_remembered_url_holds_nothing(alice: Person) -> None:
    stored(alice)
    record_copies(principal_of_secret(alice.key), {"https://example.com/a.png": SHA256})
    assert delete_unused(later()) == 1
    assert not RemoteCopy.objects.exists()


def test_no_more_is_freed_at_once_than_fits_into_a_task(alice: Person, charlie: Person) -> None:
    stored(alice)
    stored(charlie)
    assert [delete_unused(later(), limit=1) for _ in range(3)] == [1, 1, 0]


# --- crashes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("deletions", [0, 1, 2])
def test_a_crash_leaves_no_false_ready_state_and_the_next_run_finishes(
    alice: Person, hook: Hook, deletions: int
) -> None:
    stored(alice)
    crash_after(deletions, hook)
    with pytest.raises(KeyboardInterrupt):
        delete_unused(later())
    hook()
    assert not Rendition.objects.filter(state="ready").exists()
    assert delete_unused(later()) == 1
    assert not Asset.objects.exists()
    remove_strays(timezone.now() + STRAY_AGE)
    assert names() == set()


@pytest.mark.parametrize("deletions", [0, 1, 2])
def test_a_half_freed_asset_is_whole_after_it_is_uploaded_again(
    alice: Person, hook: Hook, deletions: int
) -> None:
    stored(alice)
    crash_after(deletions, hook)
    with pytest.raises(KeyboardInterrupt):
        delete_unused(later())
    hook()
    uploaded(alice)
    assert is_whole(alice)
    assert set(Rendition.objects.values_list("state", flat=True)) == {"pending"}
    assert delete_unused(later()) == 0


def crash_after(deletions: int, hook: Hook) -> None:
    remaining = iter(range(deletions))

    def before(name: str) -> None:
        if next(remaining, None) is None:
            raise KeyboardInterrupt

    def after(name: str) -> None:
        if deletions == 2 and not names():
            raise KeyboardInterrupt

    hook(on_delete=before, after_delete=after)


def test_a_file_that_the_storage_does_not_delete_stays_as_a_stray(alice: Person, hook: Hook) -> None:
    stored(alice)

    def refuse(name: str) -> None:
        raise OSError("read-only")

    hook(on_delete=refuse)
    assert delete_unused(later()) == 1
    assert len(names()) == 2
    assert remove_strays(timezone.now() + STRAY_AGE) == 0, "nor do they end the sweep"
    hook()
    assert remove_strays(timezone.now() + STRAY_AGE) == 2
    assert names() == set()


# --- concurrent uploads -----------------------------------------------------------------------------


def test_an_asset_that_is_held_again_between_two_checks_is_kept(alice: Person) -> None:
    asset = stored(alice)
    renditions = delete_dependent_rows(asset.id)
    assert renditions is not None
    uploaded(alice)
    assert not delete_asset(asset.id, renditions)
    assert is_whole(alice)
    assert File.objects.get().asset_id == asset_of(alice).id


def test_an_upload_of_the_same_bytes_waits_for_the_deletion_and_stores_them_again(
    transactional_db: None, alice: Person, hook: Hook
) -> None:
    stored(alice)
    begun, may_end, kept = threading.Event(), threading.Event(), threading.Event()

    def slowly(name: str) -> None:
        begun.set()
        may_end.wait(10)

    def upload() -> None:
        begun.wait(10)
        upload_as_the_endpoint_does(alice)
        kept.set()

    hook(on_delete=slowly)
    freed: list[int] = []
    threads = [
        in_thread(lambda: freed.append(delete_unused(later()))),
        in_thread(upload),
    ]
    assert begun.wait(10)
    assert not kept.wait(0.3), "it waits"
    may_end.set()
    for thread in threads:
        thread.join(20)
    assert freed == [1]
    assert is_whole(alice)
    assert File.objects.count() == 1


def upload_as_the_endpoint_does(who: Person) -> None:
    uploaded(who)
    store_bytes(who.workspace.id, {SHA256: DATA})


def in_thread(work: Any) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# --- strays -----------------------------------------------------------------------------------------


def grow_old(name: str, age: timedelta) -> None:
    path = Path(default_storage.path(name))
    moment = path.stat().st_mtime - age.total_seconds()
    os.utime(path, (moment, moment))


def test_bytes_without_a_row_are_removed_a_day_later(alice: Person) -> None:
    store_bytes(alice.workspace.id, {SHA256: DATA})
    assert remove_strays() == 0
    [name] = names()
    grow_old(name, STRAY_AGE + timedelta(minutes=1))
    assert remove_strays() == 1
    assert remove_strays() == 0
    assert names() == set()


def test_the_bytes_of_a_refused_call_are_removed_at_once_unless_a_row_names_them(
    alice: Person, charlie: Person
) -> None:
    for who in (alice, charlie):
        store_bytes(who.workspace.id, {SHA256: DATA})
    delete_unregistered(alice.workspace.id, [SHA256])
    assert names() == {storage_name(charlie.workspace.id, SHA256)}
    delete_unregistered(alice.workspace.id, [SHA256])

    asset = stored(alice)
    delete_unregistered(alice.workspace.id, [asset.sha256])
    assert is_whole(alice)


def test_renditions_without_a_row_are_removed_too_and_those_with_one_stay(alice: Person) -> None:
    asset = stored(alice)
    stray = rendition_name(alice.workspace.id, rendition_id(asset.id, "opus"))
    default_storage.save(stray, ContentFile(b"sound"))
    assert remove_strays(timezone.now() + STRAY_AGE + timedelta(minutes=1)) == 1
    assert is_whole(alice)
    assert stray not in names()


@pytest.mark.parametrize(
    "name",
    [
        "readme.txt",
        SHA256,
        f"{'0' * 32}",
        f"{'0' * 32}/{SHA256}",
        f"{'0' * 32}/00/{SHA256}",
        f"{'0' * 32}/renditions/notes",
        f"{'0' * 32}/renditions/{{{'0' * 32}}}",
        f"{'0' * 32}/renditions/deep/{'0' * 32}",
    ],
)
def test_foreign_files_are_left_alone(db: None, name: str) -> None:
    default_storage.save(name, ContentFile(b"whose?"))
    assert remove_strays(timezone.now() + timedelta(days=400)) == 0
    assert names() == {name}


def test_a_stray_that_is_stored_again_meanwhile_is_kept(alice: Person) -> None:
    """It is uploaded between the database lookup and the deletion."""
    store_bytes(alice.workspace.id, {SHA256: DATA})
    soon = timezone.now() + timedelta(minutes=1)
    [stray] = find_strays(soon)
    uploaded(alice)
    assert not remove_stray(stray, soon)
    assert is_whole(alice)


def test_many_files_are_looked_up_at_once(alice: Person, django_assert_max_num_queries: Any) -> None:
    contents = {hashlib.sha256(bytes([i])).hexdigest(): bytes([i]) for i in range(12)}
    store_bytes(alice.workspace.id, contents)
    register_files(
        (alice.workspace.id, StoredFile(Blob(sha256, "text/plain", 1))) for sha256 in list(contents)[:-1]
    )
    with django_assert_max_num_queries(3 * 2 + 5):
        assert remove_strays(timezone.now() + STRAY_AGE + timedelta(minutes=1), batch_size=5) == 1
    assert len(names()) == 11
