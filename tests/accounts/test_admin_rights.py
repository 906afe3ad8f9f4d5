"""Nobody in the admin gains more than their permissions say: rights, passwords and keys are for superusers.

Each request is sent as it is, whatever fields a form shows. The clerk has every permission that there is, so
what they cannot do nobody can who has only some.
"""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.keys.validation import valid_secrets
from accounts.models import ApiKey, Membership, User, Workspace
from accounts.secret_digests import digest_of
from accounts.services import personal_workspace
from tests.support.media_admin import staff, superuser
from tests.support.people import Person, person

HOME = "/admin/accounts/"
PASSWORDS = {"usable_password": "true", "password1": "corr3ct horse", "password2": "corr3ct horse"}
RIGHTS = {"is_staff": "on", "is_superuser": "on"}


@pytest.fixture
def clerk(db: None) -> Client:
    return staff(*Permission.objects.values_list("codename", flat=True), email="clerk@example.com")


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", "a good password")


def user_page(user: User, page: str = "change") -> str:
    return f"{HOME}user/{user.pk}/{page}/"


def everything_of(user: User) -> tuple[Any, ...]:
    user.refresh_from_db()
    rights = set(user.user_permissions.values_list("pk", flat=True))
    flags = (user.is_staff, user.is_superuser, user.is_active)
    return (user.email, user.password, *flags, rights, set(user.groups.values_list("pk", flat=True)))


def all_rights() -> dict[str, Any]:
    return RIGHTS | {
        "groups": [str(pk) for pk in Group.objects.values_list("pk", flat=True)],
        "user_permissions": [str(pk) for pk in Permission.objects.values_list("pk", flat=True)],
    }


def edited(user: User, **changes: Any) -> dict[str, Any]:
    return {"email": user.email, "first_name": "Changed", "is_active": "on", **all_rights(), **changes}


# --- users --------------------------------------------------------------------------------------


def test_nobody_makes_themselves_a_superuser(clerk: Client) -> None:
    own = User.objects.get(email="clerk@example.com")
    before = everything_of(own)

    assert clerk.post(user_page(own), edited(own)).status_code == 403
    assert staff("change_user").post(user_page(own), edited(own)).status_code == 403

    assert everything_of(own) == before


@pytest.mark.parametrize("popup", ["", "?_popup=1"])
def test_nobody_gives_rights_to_a_user(clerk: Client, alice: Person, popup: str) -> None:
    Group.objects.create(name="all").permissions.set(Permission.objects.all())

    clerk.post(user_page(alice.user) + popup, edited(alice.user, email="alice@example.org"))

    assert everything_of(alice.user)[0] == "alice@example.org"
    assert everything_of(alice.user)[2:] == (False, False, True, set(), set())


def test_a_new_user_has_no_rights(clerk: Client) -> None:
    form = {"email": "new@example.com", **PASSWORDS, **all_rights()}

    assert clerk.post(f"{HOME}user/add/", form).status_code == 302

    assert everything_of(User.objects.get(email="new@example.com"))[2:] == (False, False, True, set(), set())


@pytest.mark.parametrize("kind", ["superuser", "staff", "former staff", "in a group", "with a permission"])
def test_users_with_rights_are_only_touched_by_superusers(clerk: Client, kind: str) -> None:
    fields = {"superuser": {"is_superuser": True}, "staff": {"is_staff": True}}.get(kind, {})
    if kind == "former staff":
        fields = {"is_staff": True, "is_active": False}
    erin = User.objects.create_user("erin@example.com", "her own", **fields)
    if kind == "in a group":
        erin.groups.add(Group.objects.create(name="reviewers"))
    if kind == "with a permission":
        erin.user_permissions.add(Permission.objects.get(codename="view_user"))
    before = everything_of(erin)
    several = {"action": "delete_selected", "_selected_action": [erin.pk], "post": "yes"}

    answers = [
        clerk.post(user_page(erin), {"email": "clerk@example.com.evil.example", "is_active": ""}),
        clerk.post(user_page(erin, "password"), PASSWORDS),
        clerk.get(user_page(erin, "password")),
        clerk.post(user_page(erin, "delete"), {"post": "yes"}),
        clerk.post(f"{HOME}user/", several),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert everything_of(erin) == before
    page = clerk.get(user_page(erin))
    assert page.status_code == 200
    assert erin.password not in page.text
    assert 'name="is_superuser"' not in page.text


def test_a_superuser_changes_all_that(root: User, alice: Person) -> None:
    operator = Client()
    operator.force_login(root)
    group = Group.objects.create(name="reviewers")

    operator.post(user_page(alice.user), edited(alice.user))
    operator.post(user_page(alice.user, "password"), PASSWORDS)
    operator.post(f"/admin/auth/group/{group.pk}/change/", {"name": "renamed"})

    alice.user.refresh_from_db()
    assert (alice.user.is_staff, alice.user.is_superuser) == (True, True)
    assert alice.user.check_password("corr3ct horse")
    assert alice.user.groups.get().name == "renamed"


def test_other_users_are_still_edited(clerk: Client, alice: Person) -> None:
    form = {"email": "alice@example.org", "first_name": "Alice", "is_active": ""}

    assert clerk.post(user_page(alice.user), form).status_code == 302
    assert clerk.post(user_page(alice.user, "password"), PASSWORDS).status_code == 302

    alice.user.refresh_from_db()
    assert (alice.user.email, alice.user.is_active) == ("alice@example.org", False)
    assert alice.user.check_password("corr3ct horse")


def test_groups_are_changed_by_superusers_alone(clerk: Client) -> None:
    group = Group.objects.create(name="clerks")
    User.objects.get(email="clerk@example.com").groups.add(group)
    body = {"name": "all", "permissions": [str(pk) for pk in Permission.objects.values_list("pk", flat=True)]}
    several = {"action": "delete_selected", "_selected_action": [group.pk], "post": "yes"}

    for path in ("add/", f"{group.pk}/change/", f"{group.pk}/delete/"):
        assert clerk.post(f"/admin/auth/group/{path}", {**body, "post": "yes"}).status_code == 403
    clerk.post("/admin/auth/group/", several)

    assert list(Group.objects.values_list("name", flat=True)) == ["clerks"]
    assert not group.permissions.exists()


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("permissions", [["add_apikey"], ["add_apikey", "view_user", "view_workspace"], None])
def test_a_key_is_only_for_oneself(permissions: list[str] | None, alice: Person, clerk: Client) -> None:
    client = staff(*permissions) if permissions else clerk
    own = User.objects.get(email="rita@example.com" if permissions else "clerk@example.com")
    before = ApiKey.objects.count()

    for user in (alice.user, own):
        form = {
            "workspace": str(alice.workspace.pk),
            "user": str(user.pk),
            "name": "stolen",
            "scopes": ["files"],
        }
        assert "Select a valid choice" in client.post(f"{HOME}apikey/add/", form).text
    assert ApiKey.objects.count() == before

    Membership.objects.create(workspace=alice.workspace, user=own, role="admin")
    form = {"workspace": str(alice.workspace.pk), "user": str(own.pk), "name": "own", "scopes": ["files"]}
    assert client.get(f"{HOME}apikey/add/").status_code == 200
    client.post(f"{HOME}apikey/add/", form)
    assert ApiKey.objects.get(name="own").user == own


def test_other_peoples_keys_stay_as_they_are(clerk: Client, alice: Person) -> None:
    key = ApiKey.objects.get(user=alice.user)
    page = f"{HOME}apikey/{key.pk}/"
    moved = {"workspace": str(alice.workspace.pk), "name": "renamed", "scopes": ["members"]}
    chosen = {"_selected_action": [str(key.pk)]}

    assert clerk.post(f"{page}change/", moved).status_code == 403
    for action in ("delete/", "roll/", "revoke/"):
        assert clerk.post(f"{page}{action}", {"post": "yes", "overlap": "0"}).status_code == 403
    assert clerk.get(f"{page}roll/").status_code == 403
    assert (
        clerk.post(f"{HOME}apikey/", {**chosen, "action": "delete_selected", "post": "yes"}).status_code
        == 403
    )
    answer = clerk.post(f"{HOME}apikey/", {**chosen, "action": "revoke"}, follow=True)

    assert "Only a superuser revokes" in answer.text
    kept = ApiKey.objects.get(pk=key.pk)
    assert (kept.name, kept.scopes, kept.revoked_at, kept.prefix) == (key.name, key.scopes, None, key.prefix)


def test_a_keys_digest_and_a_users_password_cannot_be_guessed_letter_by_letter(
    clerk: Client, alice: Person
) -> None:
    for path, lookup in (
        ("apikey", "secrets__digest__startswith"),
        ("apikey", "tokens__digest__startswith"),
        ("invitation", "digest__startswith"),
        ("apikey", "user__password__startswith"),
        ("user", "password__startswith"),
        ("user", "api_keys__secrets__digest__startswith"),
        ("workspace", "api_keys__secrets__digest__startswith"),
        ("workspace", "invitations__digest__startswith"),
        ("workspace", "personal_of__password__startswith"),
    ):
        assert clerk.get(f"{HOME}{path}/?{urlencode({lookup: 'a'})}").status_code == 400, lookup


# --- memberships ----------------------------------------------------------------------------------


def members_form(*rows: dict[str, Any]) -> dict[str, Any]:
    existing = sum("id" in row for row in rows)
    form: dict[str, Any] = {
        "name": "Workspace",
        "memberships-TOTAL_FORMS": len(rows),
        "memberships-INITIAL_FORMS": existing,
        "api_keys-TOTAL_FORMS": 0,
        "api_keys-INITIAL_FORMS": 0,
    }
    for number, row in enumerate(rows):
        form |= {f"memberships-{number}-{name}": value for name, value in row.items()}
    return form


def test_nobody_joins_a_workspace_by_themselves(clerk: Client, alice: Person) -> None:
    own = User.objects.get(email="clerk@example.com")
    page = f"{HOME}workspace/{alice.workspace.pk}/change/"
    [hers] = Membership.objects.filter(workspace=alice.workspace)

    new = members_form({"user": own.pk, "role": "owner"})
    taken_over = members_form(
        {"id": hers.pk, "workspace": alice.workspace.pk, "user": own.pk, "role": "owner"}
    )
    for form in (new, taken_over):
        assert "Only a superuser changes their own membership." in clerk.post(page, form).text

    assert [member.user for member in Membership.objects.filter(workspace=alice.workspace)] == [alice.user]


def test_a_member_neither_promotes_nor_hands_on_their_own_membership(
    clerk: Client, alice: Person, charlie: Person
) -> None:
    own = User.objects.get(email="clerk@example.com")
    mine = Membership.objects.create(workspace=alice.workspace, user=own)
    page = f"{HOME}workspace/{alice.workspace.pk}/change/"
    row = {"id": mine.pk, "workspace": alice.workspace.pk, "user": own.pk, "role": "member"}

    for change in ({"role": "owner"}, {"user": charlie.user.pk}):
        assert "Only a superuser" in clerk.post(page, members_form({**row, **change})).text
    assert clerk.post(page, members_form(row)).status_code == 302  # the workspace itself
    assert clerk.post(page, members_form(row, {"user": charlie.user.pk, "role": "member"})).status_code == 302

    mine.refresh_from_db()
    assert (mine.user, mine.role) == (own, "member")
    assert Membership.objects.filter(workspace=alice.workspace, user=charlie.user).exists()
    assert clerk.post(page, members_form({**row, "DELETE": "on"})).status_code == 302
    assert not Membership.objects.filter(pk=mine.pk).exists()


def test_a_superuser_joins_a_workspace(alice: Person) -> None:
    operator = superuser()
    form = members_form({"user": User.objects.get(email="root@example.com").pk, "role": "owner"})

    assert operator.post(f"{HOME}workspace/{alice.workspace.pk}/change/", form).status_code == 302

    assert Membership.objects.filter(workspace=alice.workspace, user__email="root@example.com").exists()


@pytest.mark.parametrize("permission", ["change_workspace", "add_membership", "change_membership"])
def test_one_of_the_permissions_alone_adds_no_member(permission: str, alice: Person, charlie: Person) -> None:
    client = staff(permission)
    form = members_form({"user": charlie.user.pk, "role": "owner"})

    client.post(f"{HOME}workspace/{alice.workspace.pk}/change/", form)

    assert Membership.objects.filter(workspace=alice.workspace).count() == 1


@pytest.fixture
def roots(root: User) -> Person:
    """A superuser with a key in their personal workspace."""
    return person(root.email)


def may_still_act(who: Person) -> bool:
    return valid_secrets([digest_of(who.key)]) == {digest_of(who.key)}


@pytest.mark.parametrize("shared", [False, True])
def test_a_workspace_with_a_key_of_somebody_with_rights_is_only_deleted_by_superusers(
    roots: Person, alice: Person, charlie: Person, shared: bool
) -> None:
    deleter = staff("view_workspace", "delete_workspace", "delete_apikey")
    key = person(roots.user.email, alice.workspace) if shared else roots
    several = {"action": "delete_selected", "_selected_action": [charlie.workspace.pk, key.workspace.pk]}
    page = f"{HOME}workspace/{key.workspace.pk}/delete/"

    assert "user with rights" in deleter.get(page).text
    assert deleter.post(page, {"post": "yes"}).status_code == 403
    assert deleter.post(f"{HOME}workspace/", {**several, "post": "yes"}).status_code == 403

    assert may_still_act(key)
    assert may_still_act(charlie)
    operator = Client()
    operator.force_login(roots.user)
    assert operator.post(page, {"post": "yes"}).status_code == 302
    assert not may_still_act(key)


def test_the_personal_workspace_of_somebody_with_rights_is_only_deleted_by_superusers(root: User) -> None:
    page = f"{HOME}workspace/{personal_workspace(root).pk}/delete/"

    assert staff("delete_workspace").post(page, {"post": "yes"}).status_code == 403

    assert Workspace.objects.filter(personal_of=root).exists()


def test_staff_delete_a_workspace_with_their_own_key(clerk: Client, db: None) -> None:
    own = person("clerk@example.com")

    assert clerk.post(f"{HOME}workspace/{own.workspace.pk}/delete/", {"post": "yes"}).status_code == 302

    assert not may_still_act(own)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("permissions", [["change_membership"], ["delete_membership"], None])
def test_memberships_of_users_with_rights_are_only_changed_by_superusers(
    roots: Person,
    clerk: Client,
    alice: Person,
    charlie: Person,
    shared: bool,
    permissions: list[str] | None,
) -> None:
    key = person(roots.user.email, alice.workspace) if shared else roots
    client = staff("change_workspace", "view_membership", *permissions) if permissions else clerk
    before = list(key.workspace.memberships.order_by("pk").values_list("user", "role"))
    member = key.workspace.memberships.get(user=roots.user)
    row = {"id": member.pk, "workspace": key.workspace.pk, "user": roots.user.pk, "role": member.role}

    for change in ({"user": charlie.user.pk}, {"role": "owner" if shared else "member"}, {"DELETE": "on"}):
        client.post(f"{HOME}workspace/{key.workspace.pk}/change/", members_form({**row, **change}))
        assert list(key.workspace.memberships.order_by("pk").values_list("user", "role")) == before
        assert may_still_act(key)


def test_users_with_rights_are_only_added_by_superusers(clerk: Client, root: User, alice: Person) -> None:
    form = members_form({"user": root.pk, "role": "owner"})

    answer = clerk.post(f"{HOME}workspace/{alice.workspace.pk}/change/", form)

    assert "Only a superuser changes memberships of users with rights." in answer.text
    assert not root.memberships.exists()


def test_only_a_superuser_takes_a_personal_workspace_from_its_owner(
    clerk: Client, root: User, alice: Person, bob: Person, charlie: Person
) -> None:
    page = f"{HOME}workspace/{alice.workspace.pk}/change/"
    hers, his = (Membership.objects.get(workspace=alice.workspace, user=who.user) for who in (alice, bob))
    row = {"id": hers.pk, "workspace": alice.workspace.pk, "user": alice.user.pk, "role": hers.role}
    other = {"id": his.pk, "workspace": alice.workspace.pk, "user": bob.user.pk, "role": his.role}

    for change in ({"user": charlie.user.pk}, {"DELETE": "on"}):
        answer = clerk.post(page, members_form({**row, **change}, other))
        assert "Only a superuser takes a personal workspace from its owner." in answer.text
    assert may_still_act(alice)
    assert clerk.post(page, members_form(row, {**other, "DELETE": "on"})).status_code == 302
    assert not may_still_act(bob)

    operator = Client()
    operator.force_login(root)
    assert operator.post(page, members_form({**row, "DELETE": "on"})).status_code == 302
    assert not may_still_act(alice)


# --- what pages list --------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["membership", "apikey"])
def test_users_are_suggested_only_to_who_may_see_them(field: str, alice: Person) -> None:
    query = urlencode({"app_label": "accounts", "model_name": field, "field_name": "user", "term": "alice"})
    address = f"/admin/autocomplete/?{query}"

    assert staff("change_workspace", "add_membership", "add_apikey").get(address).status_code == 403
    assert "alice" in staff("view_user", email="viewer@example.com").get(address).text


@pytest.mark.parametrize(
    "page",
    ["user/{user}/history/", "workspace/{workspace}/history/", "apikey/{key}/history/", "user/", "apikey/"],
)
def test_pages_need_the_permission_to_see_their_rows(page: str, alice: Person) -> None:
    path = page.format(
        user=alice.user.pk, workspace=alice.workspace.pk, key=ApiKey.objects.get(user=alice.user).pk
    )
    assert staff("view_conversation").get(f"{HOME}{path}").status_code == 403


# --- every single permission ---------------------------------------------------------------------


def test_no_permission_alone_gives_rights_keys_or_members(root: User, alice: Person) -> None:
    """Everything is tried with each permission, by one person who has a different one each time."""
    client = staff(email="rita@example.com")
    rita = User.objects.get(email="rita@example.com")
    key = ApiKey.objects.get(user=alice.user)
    group = Group.objects.create(name="reviewers")
    attempts: list[tuple[str, dict[str, Any]]] = [
        (user_page(rita), edited(rita)),
        (user_page(rita, "password"), PASSWORDS),
        (user_page(root, "password"), PASSWORDS),
        (user_page(root, "delete"), {"post": "yes"}),
        (f"/admin/auth/group/{group.pk}/change/", {"name": "x"}),
        (f"{HOME}apikey/add/", {"workspace": str(alice.workspace.pk), "user": str(alice.user.pk)}),
        (f"{HOME}apikey/{key.pk}/delete/", {"post": "yes"}),
        (f"{HOME}apikey/{key.pk}/roll/", {"overlap": "0"}),
        (f"{HOME}apikey/{key.pk}/revoke/", {}),
        (f"{HOME}apikey/", {"action": "revoke", "_selected_action": [str(key.pk)]}),
        (f"{HOME}workspace/{alice.workspace.pk}/change/", members_form({"user": rita.pk, "role": "owner"})),
    ]

    def state() -> tuple[Any, ...]:
        keys = list(ApiKey.objects.order_by("pk").values_list("pk", "revoked_at", "prefix"))
        members = list(Membership.objects.order_by("pk").values_list("user", "workspace", "role"))
        return everything_of(root), everything_of(rita)[:5], keys, members, list(Group.objects.values())

    before = state()
    for permission in Permission.objects.filter(
        content_type__model__in=["user", "group", "apikey", "workspace", "membership"],
        codename__regex="^(add|change|delete)_",
    ):
        rita.user_permissions.set([permission])
        for address, form in attempts:
            client.post(address, form)
        assert state() == before, permission.codename
