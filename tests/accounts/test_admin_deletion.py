"""Users and workspaces are deleted in the admin with all their data, or the page says what prevents it."""

from hashlib import sha256
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import default_storage
from django.db.models import ProtectedError
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.deletion import delete_user
from accounts.models import ApiKey, Membership, User, Workspace
from accounts.services import personal_workspace
from conversations.models import Completion, Conversation, Message
from core.blob import Blob
from media.models import Asset
from media.services import StoredFile, register_files, store_bytes
from tests.support.history_rows import create_exchange
from tests.support.people import Person, person

PICTURE = b"a picture"
BLOB = Blob(sha256(PICTURE).hexdigest(), "image/png", len(PICTURE))


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("root@example.com", "a good password"))
    return client


@pytest.fixture
def clerk(db: None) -> Client:
    """Staff with every permission on accounts, but not a superuser."""
    user = User.objects.create_user("clerk@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    client = Client()
    client.force_login(user)
    return client


def delete_url(row: User | Workspace) -> str:
    return f"/admin/accounts/{row._meta.model_name}/{row.pk}/delete/"


def upload(who: Person) -> Path:
    """Store a picture in the person's workspace and return the path of its file."""
    store_bytes(who.workspace.id, {BLOB.sha256: PICTURE})
    register_files([(who.workspace.id, StoredFile(BLOB))])
    return Path(default_storage.path(f"{who.workspace.id.hex}/{BLOB.sha256[:2]}/{BLOB.sha256}"))


def is_gone(workspace: Workspace) -> bool:
    by_workspace = {"workspace": workspace}
    left = [
        model.objects.filter(**by_workspace)
        for model in (Membership, ApiKey, Conversation, Completion, Asset)
    ]
    messages = Message.objects.filter(conversation__workspace=workspace)
    return not any(rows.exists() for rows in (Workspace.objects.filter(pk=workspace.pk), messages, *left))


def test_a_superuser_deletes_a_workspace_with_its_history_and_files(
    operator: Client,
    alice: Person,
    bob: Person,
    charlie: Person,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    create_exchange(alice)
    kept = create_exchange(charlie)
    file, kept_file = upload(alice), upload(charlie)

    page = operator.get(delete_url(alice.workspace)).text
    with django_capture_on_commit_callbacks(execute=True):
        assert file.exists()
        assert operator.post(delete_url(alice.workspace), {"post": "yes"}).status_code == 302

    for line in ("Memberships: 2", "API keys: 2", "Conversations: 1", "Messages: 2", "Files: 1"):
        assert line in page
    assert is_gone(alice.workspace)
    assert not file.parent.parent.exists()
    assert User.objects.filter(email__in=["alice@example.com", "bob@example.com"]).count() == 2
    assert list(Completion.objects.all()) == [kept]
    assert Message.objects.count() == 2
    assert kept_file.exists()


def test_several_workspaces_are_deleted_at_once(operator: Client, alice: Person, charlie: Person) -> None:
    for who in (alice, charlie):
        create_exchange(who)
    chosen = {"action": "delete_selected", "_selected_action": [alice.workspace.pk, charlie.workspace.pk]}

    assert "Conversations: 2" in operator.post("/admin/accounts/workspace/", chosen).text
    assert operator.post("/admin/accounts/workspace/", {**chosen, "post": "yes"}).status_code == 302

    assert is_gone(alice.workspace)
    assert is_gone(charlie.workspace)


def test_only_a_superuser_deletes_history(clerk: Client, alice: Person, charlie: Person) -> None:
    create_exchange(alice)

    assert "permission" in clerk.get(delete_url(alice.workspace)).text
    assert clerk.post(delete_url(alice.workspace), {"post": "yes"}).status_code == 403
    assert clerk.post(delete_url(charlie.workspace), {"post": "yes"}).status_code == 302

    assert Conversation.objects.count() == 1
    assert is_gone(charlie.workspace)


def test_a_user_is_deleted_with_an_empty_personal_workspace(
    operator: Client, alice: Person, bob: Person
) -> None:
    create_exchange(alice)
    own = personal_workspace(bob.user)

    assert "Are you sure" in operator.get(delete_url(bob.user)).text
    assert operator.post(delete_url(bob.user), {"post": "yes"}).status_code == 302

    assert not User.objects.filter(email="bob@example.com").exists()
    assert is_gone(own)
    assert not ApiKey.objects.filter(user_id=bob.user.pk).exists()
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize("kept_by", ["1 conversation", "1 file", "1 other member"])
def test_a_user_whose_personal_workspace_is_in_use_is_kept(
    operator: Client, charlie: Person, kept_by: str
) -> None:
    if kept_by.endswith("conversation"):
        create_exchange(charlie)
    elif kept_by.endswith("file"):
        upload(charlie)
    else:
        person("dana@example.com", charlie.workspace)

    page = operator.get(delete_url(charlie.user)).text
    assert kept_by in page
    assert "deactivate" in page
    assert "Are you sure" not in page
    answer = operator.post(delete_url(charlie.user), {"post": "yes"})

    assert (answer.status_code, kept_by in answer.text) == (200, True)
    with pytest.raises(ProtectedError):
        delete_user(charlie.user)
    assert ApiKey.objects.filter(user=charlie.user, workspace=charlie.workspace).exists()


def test_a_user_can_be_deleted_once_the_personal_workspace_is_gone(operator: Client, charlie: Person) -> None:
    create_exchange(charlie)

    for row in (charlie.workspace, charlie.user):
        assert operator.post(delete_url(row), {"post": "yes"}).status_code == 302

    assert not User.objects.filter(email="charlie@example.com").exists()


def test_several_users_are_deleted_at_once(operator: Client, bob: Person, charlie: Person) -> None:
    chosen = {"action": "delete_selected", "_selected_action": [bob.user.pk, charlie.user.pk], "post": "yes"}

    assert operator.post("/admin/accounts/user/", chosen).status_code == 302

    assert set(User.objects.values_list("email", flat=True)) == {"root@example.com", "alice@example.com"}


def test_deleting_a_user_also_needs_permission_to_delete_workspaces(clerk: Client, charlie: Person) -> None:
    User.objects.get(email="clerk@example.com").user_permissions.remove(
        Permission.objects.get(codename="delete_workspace")
    )

    assert "<li>workspace</li>" in clerk.get(delete_url(charlie.user)).text
    assert clerk.post(delete_url(charlie.user), {"post": "yes"}).status_code == 403


def test_a_name_does_not_become_markup(operator: Client, charlie: Person) -> None:
    charlie.workspace.name = "<script>alert(1)</script>"
    charlie.workspace.save()
    create_exchange(charlie)

    for row in (charlie.user, charlie.workspace):
        assert "<script>alert(1)" not in operator.get(delete_url(row)).text
