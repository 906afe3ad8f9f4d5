from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.permissions import DEFAULT_SCOPES
from tests.support.people import Person


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """Run the command and return its standard output and standard error."""
    call_command("create_api_key", *arguments)
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_a_newcomer_gets_a_user_a_workspace_and_a_key_that_works(
    db: None, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = run_command(capsys, "New@Example.com")
    secret = out.removesuffix("\n")

    assert out == f"{secret}\n"
    assert secret.startswith("sk-chatapi-")
    assert secret not in err
    assert "new@example.com" in err
    assert client.get("/v1/conversations", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    user = User.objects.get(email="new@example.com")
    assert not user.has_usable_password()
    assert ApiKey.objects.get().workspace == user.personal_workspace


def test_a_second_key_belongs_to_the_same_user(alice: Person, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(capsys, "ALICE@example.com", "--name", "laptop", "--expires-in-days", "30")

    key = ApiKey.objects.get(name="laptop")
    assert (key.user, key.workspace) == (alice.user, alice.workspace)
    assert key.expires_at
    assert abs(key.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)


def test_a_key_for_a_shared_workspace(alice: Person, bob: Person, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(capsys, "bob@example.com", "--workspace", str(alice.workspace.id), "--name", "shared")

    assert ApiKey.objects.get(name="shared").workspace == alice.workspace


def test_a_key_has_the_usual_scopes_or_those_that_are_named(
    alice: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(capsys, "alice@example.com", "--name", "usual")
    run_command(capsys, "alice@example.com", "--name", "admin", "--scopes", "members, usage")

    assert ApiKey.objects.get(name="usual").scope_list == DEFAULT_SCOPES
    assert ApiKey.objects.get(name="admin").scopes == "usage members"


@pytest.mark.parametrize("email", ["", "alice", "alice@", "a b@example.com", "a@example.com\n"])
def test_an_invalid_address_is_refused_in_one_line(email: str, db: None) -> None:
    with pytest.raises(CommandError, match="is not an email address") as refusal:
        call_command("create_api_key", email)

    assert "\n" not in str(refusal.value)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--workspace", "x"),
        ("--workspace", "00000000-0000-4000-8000-000000000000"),
        ("--scopes", ""),
        ("--scopes", "files,root"),
        ("--expires-in-days", "0"),
        ("--expires-in-days", "-1"),
        ("--expires-in-days", "soon"),
        ("--expires-in-days", "99999999999"),
    ],
)
def test_an_invalid_option_creates_nothing(option: str, value: str, db: None) -> None:
    with pytest.raises(CommandError):
        call_command("create_api_key", "new@example.com", f"{option}={value}")

    assert not User.objects.exists()
    assert not ApiKey.objects.exists()


def test_a_stranger_gets_no_key_for_a_workspace(alice: Person, charlie: Person) -> None:
    before = ApiKey.objects.count()

    with pytest.raises(CommandError, match="not a member"):
        call_command("create_api_key", "charlie@example.com", "--workspace", str(alice.workspace.id))

    assert ApiKey.objects.count() == before
