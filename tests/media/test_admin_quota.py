"""A workspace's media quota and its use, in the admin."""

import pytest
from django.test import Client
from pytest_django import Settings

from tests.support.history_rows import conversation_of, store_held_file
from tests.support.media_admin import superuser
from tests.support.people import Person

WORKSPACES = "/admin/accounts/workspace/"


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


def workspace_form(**fields: str) -> dict[str, str]:
    inlines = {
        f"{name}-{count}": "0"
        for name in ("memberships", "api_keys")
        for count in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    return {"name": "Ours", **inlines, **fields}


def test_a_workspace_shows_how_much_of_its_quota_is_used(
    operator: Client, alice: Person, charlie: Person, settings: Settings
) -> None:
    settings.CHATAPI_MEDIA_QUOTA_BYTES = 4096
    conversation = conversation_of(alice)
    store_held_file(conversation, b"x" * 1000, "image/png")
    store_held_file(conversation, b"y" * 24, "image/png")
    store_held_file(conversation_of(charlie), b"z" * 5000, "image/png")
    page = f"{WORKSPACES}{alice.workspace.pk}/change/"

    assert "1024 bytes (1.0\xa0KB of 4.0\xa0KB)" in operator.get(page).text
    assert operator.post(page, workspace_form(media_quota="2048")).status_code == 302
    alice.workspace.refresh_from_db()
    assert alice.workspace.media_quota == 2048
    assert "1024 bytes (1.0\xa0KB of 2.0\xa0KB)" in operator.get(page).text
    assert operator.post(page, workspace_form(media_quota="")).status_code == 302
    alice.workspace.refresh_from_db()
    assert alice.workspace.media_quota is None


@pytest.mark.parametrize("quota", ["-1", "many", str(2**63)])
def test_a_quota_is_a_number_of_bytes(quota: str, operator: Client, alice: Person) -> None:
    page = f"{WORKSPACES}{alice.workspace.pk}/change/"

    assert operator.post(page, workspace_form(media_quota=quota)).status_code == 200
    alice.workspace.refresh_from_db()
    assert alice.workspace.media_quota is None


def test_a_new_workspace_is_created_with_its_quota(operator: Client) -> None:
    assert operator.get(f"{WORKSPACES}add/").status_code == 200
    assert operator.post(f"{WORKSPACES}add/", workspace_form(media_quota="5")).status_code == 302
