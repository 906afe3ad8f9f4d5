"""Operators invite into workspaces, and the admin site leaves none without an owner."""

import re
from functools import partial
from threading import Event
from time import sleep
from typing import Any

import pytest
from django.contrib.admin import site
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client, RequestFactory
from pytest_django import Settings

from accounts.models import Invitation, Membership, OutgoingMail, SecurityEvent, User, Workspace
from accounts.principal import Principal
from accounts.roles import Role
from accounts.workspaces import invitations
from core.exceptions import Forbidden
from tests.support.concurrent_calls import at_once
from tests.support.media_admin import staff, superuser
from tests.support.people import Person, person, signed_in
from tests.support.signing_in import delivered, link_in
from tests.support.workspaces import join, principal_in, roles_in, shared_workspace

ADD = "/admin/accounts/invitation/add/"
BOB = "bob@example.com"


@pytest.fixture
def operator(db: None) -> Client:
    return superuser()


@pytest.fixture
def team(alice: Person) -> Workspace:
    return shared_workspace(alice.user)


def page_of(workspace: Workspace) -> str:
    return f"/admin/accounts/workspace/{workspace.pk}/change/"


def members_form(workspace: Workspace, **changes: dict[str, Any]) -> dict[str, Any]:
    """Return the form of a workspace's page, with changes by email address; of others, new rows."""
    rows = list(Membership.objects.filter(workspace=workspace).order_by("pk"))
    form: dict[str, Any] = {"name": workspace.name, "api_keys-TOTAL_FORMS": 0, "api_keys-INITIAL_FORMS": 0}
    form |= {"memberships-TOTAL_FORMS": len(rows), "memberships-INITIAL_FORMS": len(rows)}
    for number, row in enumerate(rows):
        fields = {"id": row.pk, "workspace": workspace.pk, "user": row.user_id, "role": row.role}
        fields |= changes.get(row.user.email.partition("@")[0], {})
        form |= {f"memberships-{number}-{name}": value for name, value in fields.items()}
    return form


# --- inviting -------------------------------------------------------------------------------------------


def test_an_operator_invites_with_a_role_in_one_step(
    operator: Client, team: Workspace, charlie: Person
) -> None:
    assert f'href="{ADD}?workspace={team.pk}"' in operator.get(page_of(team)).text
    assert f'value="{team.pk}" selected' in operator.get(f"{ADD}?workspace={team.pk}").text

    form = {"email": "Charlie@example.com", "workspace": str(team.pk), "role": "admin"}
    shown = operator.post(ADD, form, follow=True).text

    [link] = re.findall(r"<code>http://testserver(\S+)</code>", shown)
    invitation = Invitation.objects.get()
    assert (invitation.email, invitation.role) == ("charlie@example.com", "admin")
    [mail] = delivered()
    token, mailed = token_of(link), token_of(link_in(mail))
    assert [does_prove_address(one) for one in (token, mailed)] == [False, True]
    assert "charlie@example.com</a>, as admin" in operator.get(page_of(team)).text
    assert (
        link.rstrip("/")[-20:] not in operator.get(f"{ADD.removesuffix('add/')}{invitation.pk}/change/").text
    )

    assert signed_in(charlie.user).post(link).status_code == 302
    assert roles_in(team)["charlie@example.com"] == "admin"
    assert "charlie@example.com</a>, as admin" not in operator.get(page_of(team)).text


def token_of(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


def does_prove_address(token: str) -> bool:
    found = invitations.present(token)
    assert found is not None
    return found.proves_address


def test_no_mail_leads_to_the_host_that_an_operators_request_claims(
    operator: Client, team: Workspace, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    for form in ({"email": BOB}, {"email": BOB, "workspace": str(team.pk), "role": "admin"}):
        assert operator.post(ADD, form, headers={"host": "evil.example"}).status_code == 302
    assert Invitation.objects.count() == 2
    assert OutgoingMail.objects.count() == 0


def test_an_operators_own_role_is_asked_again(team: Workspace) -> None:
    """An admin may invite no owner, whatever the form let through."""
    staff("add_invitation")
    clerk = User.objects.get(email="rita@example.com")
    join(team, clerk, Role.ADMIN)
    request = RequestFactory().post(ADD)
    request.user = clerk
    wanted = Invitation(workspace=team, role=Role.OWNER)

    with pytest.raises(Forbidden):
        site.get_model_admin(Invitation).save_model(request, wanted, None, change=False)
    assert not Invitation.objects.exists()


def test_an_operator_makes_a_link(operator: Client, team: Workspace, charlie: Person) -> None:
    shown = operator.post(ADD, {"workspace": str(team.pk), "role": "owner"}, follow=True).text

    [link] = re.findall(r"<code>http://testserver(\S+)</code>", shown)
    assert OutgoingMail.objects.count() == 0
    signed_in(charlie.user).post(link)
    assert roles_in(team)["charlie@example.com"] == "owner"


def test_an_invitation_needs_an_address_or_a_workspace(
    operator: Client, alice: Person, team: Workspace
) -> None:
    assert "Name the address" in operator.post(ADD, {"role": "member"}).text
    member = {"email": "ALICE@example.com", "workspace": str(team.pk), "role": "admin"}
    assert "is a member already" in operator.post(ADD, member).text
    assert not Invitation.objects.exists()


def test_others_than_superusers_invite_as_their_own_role_lets_them(alice: Person, team: Workspace) -> None:
    """Otherwise whoever may invite would soon own every workspace, by a link to themselves."""
    clerk = staff("add_invitation", "view_invitation")
    own = User.objects.get(email="rita@example.com")
    form = {"workspace": str(team.pk), "role": "member"}

    assert "Select a valid choice" in clerk.post(ADD, form).text
    membership = join(team, own)
    assert "Only superusers" in clerk.post(ADD, form).text
    Membership.objects.filter(pk=membership.pk).update(role=Role.ADMIN)
    assert "only owners invite owners" in clerk.post(ADD, form | {"role": "owner"}).text
    assert not Invitation.objects.exists()
    assert clerk.post(ADD, form).status_code == 302
    Membership.objects.filter(pk=membership.pk).update(role=Role.OWNER)
    assert clerk.post(ADD, form | {"role": "owner"}).status_code == 302
    assert Invitation.objects.count() == 2


def test_invitations_are_shown_to_who_may_see_them(team: Workspace) -> None:
    clerk = staff("view_workspace")
    assert "Invite somebody" not in clerk.get(page_of(team)).text
    refused = superuser().get(f"{ADD.removesuffix('add/')}?digest__startswith=a")
    assert refused.status_code == 400


def test_the_command_invites_into_a_workspace(
    team: Workspace, charlie: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("invite", charlie.user.email, "--workspace", str(team.pk), "--role", "reviewer", "--mail")
    out, err = capsys.readouterr()
    assert "joins The team as reviewer here until" in err
    assert out.strip() in str(delivered()[0].body)
    signed_in(charlie.user).post(out.strip().removeprefix("http://localhost:8000"))
    assert roles_in(team)["charlie@example.com"] == "reviewer"

    call_command("invite", "--workspace", f"proj_{team.pk.hex}")
    assert "Who has this link joins The team as member" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([BOB, "--role", "admin"], "--workspace"),
        (["--workspace", "x"], "not a workspace's id"),
        (["--workspace", "0" * 32], "no workspace"),
        (["--workspace", "TEAM", "--mail"], "Name the email address"),
        (["alice@example.com", "--workspace", "TEAM"], "a member already"),
        ([BOB, "--workspace", "TEAM", "--role", "god"], "invalid choice"),
        (["nobody", "--workspace", "TEAM"], "valid email"),
    ],
)
def test_the_command_says_what_is_wrong(team: Workspace, arguments: list[str], complaint: str) -> None:
    given = [str(team.pk) if one == "TEAM" else one for one in arguments]
    with pytest.raises(CommandError, match=complaint):
        call_command("invite", *given)
    assert not Invitation.objects.exists()


# --- who lost the right to invite -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"DELETE": "on"}, []),
        ({"role": "member"}, []),
        ({"role": "admin"}, ["member"]),
        ({"user": "CHARLIE"}, []),
    ],
)
def test_who_is_removed_or_demoted_by_an_operator_does_not_come_back_by_an_own_link(
    operator: Client, team: Workspace, charlie: Person, change: dict[str, Any], kept: list[str]
) -> None:
    bob = person(BOB)
    join(team, bob.user, Role.OWNER)
    for role in (Role.OWNER, Role.MEMBER):
        invitations.invite_as_member(principal_in(team, bob.user), "", role)
    change = {name: charlie.user.pk if value == "CHARLIE" else value for name, value in change.items()}

    assert operator.post(page_of(team), members_form(team, bob=change)).status_code == 302

    assert list(invitations.open_invitations().values_list("role", flat=True)) == kept


@pytest.mark.parametrize("lost", ["is_active", "is_staff", "is_superuser"])
def test_who_is_deactivated_or_loses_rights_does_not_come_back_by_an_own_link(
    operator: Client, team: Workspace, lost: str
) -> None:
    User.objects.create_superuser(BOB, "password")
    bob = User.objects.get(email=BOB)
    invitations.invite("bobby@example.com", bob)
    invitations.invite("", bob, workspace=team, role=Role.OWNER)
    invitations.invite("", User.objects.get(email="alice@example.com"), workspace=team)
    rights = {"is_active": "on", "is_staff": "on", "is_superuser": "on"}
    page = f"/admin/accounts/user/{bob.pk}/change/"

    operator.post(page, {"email": BOB, "first_name": "Bob", **rights})
    assert invitations.open_invitations().count() == 3
    assert operator.post(page, {"email": BOB, **rights, lost: ""}).status_code == 302

    assert [one.invited_by.email for one in invitations.open_invitations()] == ["alice@example.com"]  # type: ignore[union-attr]


def test_who_is_removed_while_they_invite_leaves_no_open_link(
    transactional_db: None, operator: Client, alice: Person
) -> None:
    """In a personal workspace too, whose owner the form need not look for."""

    def remove(begun: Event, page: str, form: dict[str, Any]) -> None:
        begun.wait()
        operator.post(page, form)

    for team in (shared_workspace(alice.user), alice.workspace):
        bob = person(BOB)
        join(team, bob.user, Role.ADMIN)
        who, form = principal_in(team, bob.user), members_form(team, bob={"DELETE": "on"})

        begun = Event()

        at_once(partial(invite_slowly, who, begun), partial(remove, begun, page_of(team), form))

        assert BOB not in roles_in(team)
        assert not invitations.open_invitations().exists()


def invite_slowly(who: Principal, begun: Event) -> None:
    with transaction.atomic():
        invitations.invite_as_member(who, "", Role.MEMBER)
        begun.set()
        sleep(0.3)


# --- an owner stays -------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"DELETE": "on"}, {"role": "admin"}])
def test_the_form_of_a_workspace_keeps_an_owner(
    operator: Client, team: Workspace, charlie: Person, change: dict[str, Any]
) -> None:
    join(team, charlie.user)
    before = roles_in(team)

    refused = operator.post(page_of(team), members_form(team, alice=change))
    assert "would be left without an owner" in refused.text
    assert roles_in(team) == before

    User.objects.filter(pk=charlie.user.pk).update(is_active=False)
    both = members_form(team, alice=change, charlie={"role": "owner"})
    assert "would be left without an owner" in operator.post(page_of(team), both).text
    User.objects.filter(pk=charlie.user.pk).update(is_active=True)
    assert operator.post(page_of(team), both).status_code == 302
    assert roles_in(team)["charlie@example.com"] == "owner"


def test_changes_in_the_form_are_recorded(operator: Client, team: Workspace, charlie: Person) -> None:
    form = members_form(team) | {
        "memberships-TOTAL_FORMS": 2,
        "memberships-1-user": charlie.user.pk,
        "memberships-1-role": "member",
        "memberships-1-workspace": team.pk,
    }
    operator.post(page_of(team), form)
    operator.post(page_of(team), members_form(team, charlie={"role": "admin"}))
    operator.post(page_of(team), members_form(team, charlie={"DELETE": "on"}))

    root = User.objects.get(email="root@example.com")
    events = SecurityEvent.objects.filter(user=charlie.user, by=root, workspace_id=team.pk)
    assert list(events.order_by("at", "pk").values_list("kind", "details")) == [
        ("member_joined", {"role": "member"}),
        ("role_changed", {"before": "member", "after": "admin"}),
        ("member_left", None),
    ]


def test_an_only_owner_is_deactivated_with_a_warning_and_not_deleted(
    operator: Client, alice: Person, team: Workspace, charlie: Person
) -> None:
    page = f"/admin/accounts/user/{alice.user.pk}/"
    asked = operator.post(f"{page}delete/", {"post": "yes"})
    assert "is the only owner of" in asked.text
    assert User.objects.filter(pk=alice.user.pk).exists()

    warned = operator.post(f"{page}change/", {"email": alice.user.email, "is_active": ""}, follow=True)
    assert "is the only owner of" in warned.text
    alice.user.refresh_from_db()
    assert not alice.user.is_active

    join(team, charlie.user, Role.OWNER)
    Membership.objects.filter(workspace=alice.workspace).exclude(user=alice.user).delete()
    gone = operator.post(f"{page}delete/", {"post": "yes"})
    assert gone.status_code == 302
    assert roles_in(team) == {"charlie@example.com": "owner"}


def test_a_workspace_that_an_operator_makes_and_deletes_is_recorded(operator: Client, alice: Person) -> None:
    form = {
        "name": "House",
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "0",
        "memberships-0-user": str(alice.user.pk),
        "memberships-0-role": "owner",
        "api_keys-TOTAL_FORMS": "0",
        "api_keys-INITIAL_FORMS": "0",
    }
    operator.post("/admin/accounts/workspace/add/", form)
    house = Workspace.objects.get(name="House")
    operator.post(f"/admin/accounts/workspace/{house.pk}/delete/", {"post": "yes"})

    events = SecurityEvent.objects.filter(workspace_id=house.pk).order_by("at", "pk")
    kinds = list(events.values_list("kind", flat=True))
    assert kinds == ["workspace_created", "member_joined", "workspace_deleted"]
