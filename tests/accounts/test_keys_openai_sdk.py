"""OpenAI's own client manages keys, with a key of the scope `members` as its admin key."""

import time
from collections.abc import Iterator

import openai
import pytest
from openai.types.admin.organization import AdminAPIKey
from openai.types.admin.organization.projects import ProjectAPIKey

from accounts.models import ApiKey
from accounts.permissions import Scope
from core.ids import KEY, PROJECT, format_id, format_user_id
from tests.support.keys import ALL_SCOPES, Caller, program, stored_key
from tests.support.openai_in_process import openai_client
from tests.support.people import Person


@pytest.fixture
def admin(alice: Person) -> Caller:
    return program(alice, *ALL_SCOPES, name="admin")


@pytest.fixture
def sdk(admin: Caller) -> Iterator[openai.OpenAI]:
    with openai_client(admin_api_key=admin.secret, _strict_response_validation=True) as client:
        yield client


def test_an_admin_key_is_made_read_listed_and_deleted(
    sdk: openai.OpenAI, admin: Caller, alice: Person
) -> None:
    keys = sdk.admin.organization.admin_api_keys

    made = keys.create(name="deploy", expires_in_seconds=3600)
    assert (made.object, made.name) == ("organization.admin_api_key", "deploy")
    assert made.redacted_value == f"{made.value[:15]}..."
    assert made.expires_at
    assert abs(made.expires_at - time.time() - 3600) < 60
    assert (made.owner.id, made.owner.role) == (format_user_id(alice.user.pk), "owner")
    assert stored_key(made.id).scopes == "usage members"

    found = keys.retrieve(made.id)
    AdminAPIKey.model_validate_json(found.model_dump_json(), strict=True)
    assert [key.id for key in keys.list()] == [made.id, admin.id]
    assert [key.id for key in keys.list(limit=1, order="asc")] == [admin.id, made.id]

    gone = keys.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "organization.admin_api_key.deleted")
    with pytest.raises(openai.NotFoundError):
        keys.retrieve(made.id)
    assert [key.id for key in keys.list()] == [admin.id]
    assert not Caller(made.value).works()


def test_keys_that_do_not_manage_the_workspace_are_no_admin_keys(sdk: openai.OpenAI, alice: Person) -> None:
    with pytest.raises(openai.NotFoundError):
        sdk.admin.organization.admin_api_keys.retrieve(format_id(KEY, alice.key_id))
    with pytest.raises(openai.NotFoundError):
        sdk.admin.organization.admin_api_keys.delete(format_id(KEY, alice.key_id))


def test_the_keys_of_a_project_are_read_changed_and_deleted(
    sdk: openai.OpenAI, alice: Person, bob: Person
) -> None:
    keys, project = sdk.admin.organization.projects.api_keys, format_id(PROJECT, alice.workspace.pk)
    his = format_id(KEY, bob.key_id)

    found = keys.retrieve(his, project_id=project)
    ProjectAPIKey.model_validate_json(found.model_dump_json(), strict=True)
    assert found.owner.user
    assert (found.owner.user.email, found.owner_project_access) == ("bob@example.com", "active")
    assert len(list(keys.list(project, limit=1))) == 3
    assert [key.id for key in keys.list(project, owner_project_access="inactive")] == []

    changed = keys.update(his, project_id=project, scopes=["files"], expires_in_seconds=3600)
    assert changed.expires_at
    assert ApiKey.objects.get(pk=bob.key_id).scope_list == (Scope.FILES,)

    assert keys.delete(his, project_id=project).object == "organization.project.api_key.deleted"
    assert ApiKey.objects.get(pk=bob.key_id).revoked_at


def test_an_admin_key_made_by_a_key_has_no_more_than_that(alice: Person) -> None:
    poor = program(alice, Scope.MEMBERS, tokens_per_minute=5)
    with openai_client(admin_api_key=poor.secret, _strict_response_validation=True) as client:
        made = client.admin.organization.admin_api_keys.create(name="child")
        with pytest.raises(openai.PermissionDeniedError):
            client.admin.organization.admin_api_keys.create(name="x", extra_body={"scopes": ["files"]})

    child = stored_key(made.id)
    assert (child.scopes, child.tokens_per_minute) == ("members", 5)
