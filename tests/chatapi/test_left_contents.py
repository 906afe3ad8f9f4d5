"""What former members left in a workspace, which an operator deletes, since nobody else can."""

import pytest
from django.core.management import CommandError, call_command

from accounts.deletion import delete_user
from accounts.models import Membership, User, Workspace
from accounts.ownership import Visibility
from conversations.models import Conversation, Message
from media.models import File
from tests.support.history_rows import add_message, conversation_of, uploaded
from tests.support.people import Person, person
from tests.support.workspaces import shared_workspace

PRIVATE, SHARED = Visibility.PRIVATE, Visibility.WORKSPACE


@pytest.fixture
def team(alice: Person) -> Workspace:
    """With what Bob, who left, and Dana, whose account was deleted, made there."""
    team = shared_workspace(alice.user)
    bob, dana = (person(f"{name}@example.com", team) for name in ("bob", "dana"))
    keep(Person(alice.user, team, "", alice.key_id), "Alice's", user=alice.user)
    keep(bob, "of a key", api_key_id=bob.key_id, user=None)
    for who in (bob, dana):
        keep(who, "left", user=who.user)
        keep(who, "shared", user=who.user, visibility=SHARED)
    keep(person("bob@example.com"), "in another workspace", user=bob.user)
    Membership.objects.filter(workspace=team, user=bob.user).delete()
    delete_user(User.objects.get(pk=dana.user.pk))
    return team


def keep(
    who: Person, name: str, *, user: User | None, visibility: str = PRIVATE, api_key_id: object = None
) -> None:
    fields = {"user": user, "visibility": visibility, "api_key_id": api_key_id}
    add_message(conversation_of(who, title=name, **fields), "user", name)
    file = uploaded(who.workspace, name.encode(), **fields)
    File.objects.filter(pk=file.pk).update(filename=name)


def names() -> list[set[str]]:
    conversations = Conversation.objects.values_list("title", flat=True)
    return [set(conversations), set(File.objects.values_list("filename", flat=True))]


def test_what_was_private_is_deleted(team: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    before = names()
    call_command("delete_left_contents", str(team.pk))
    assert names() == before
    assert "conversations: 2, files: 2 (to be deleted; add --yes to delete them)" in capsys.readouterr().out

    call_command("delete_left_contents", str(team.pk), "--yes")

    assert names() == [{"Alice's", "of a key", "shared", "in another workspace"}] * 2
    assert "conversations: 2, files: 2 (deleted)" in capsys.readouterr().out
    assert Message.objects.count() == Conversation.objects.count() == 5


def test_what_was_shared_is_deleted_where_that_is_asked_for(team: Workspace) -> None:
    call_command("delete_left_contents", f"proj_{team.pk.hex}", "--shared", "--yes")

    assert names() == [{"Alice's", "of a key", "in another workspace"}] * 2


def test_a_workspace_that_never_was_is_named(db: None) -> None:
    with pytest.raises(CommandError, match="no workspace"):
        call_command("delete_left_contents", "0" * 32, "--yes")
