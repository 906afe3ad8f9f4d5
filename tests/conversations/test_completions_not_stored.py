"""Completions of which nothing is stored, beside all that reads completions."""

from typing import Any

from django.test import Client

from accounts.deletion import delete_workspace
from accounts.models import User
from conversations.models import Completion
from core.ids import new_id
from tests.support.history_rows import create_exchange
from tests.support.people import Person


def unstored(who: Person) -> Completion:
    error: Any = {"message": "It was not kept.", "status": 502}
    return Completion.objects.create(
        workspace=who.workspace,
        api_key_id=who.key_id,
        model="scripted",
        state="failed",
        error=error,
        process=new_id(),
    )


def test_the_admin_shows_that_there_was_one(alice: Person, client: Client) -> None:
    completion = unstored(alice)
    client.force_login(User.objects.create_superuser("root@example.com", "a good password"))

    listed = client.get("/admin/conversations/completion/")
    shown = client.get(f"/admin/conversations/completion/{completion.pk}/change/")

    assert completion.public_id in listed.text
    assert (shown.status_code, "It was not kept." in shown.text) == (200, True)


def test_they_are_deleted_with_their_workspace_and_no_others(alice: Person, charlie: Person) -> None:
    create_exchange(alice)
    unstored(alice)
    others = unstored(charlie)

    delete_workspace(alice.workspace)

    assert Completion.objects.get() == others
