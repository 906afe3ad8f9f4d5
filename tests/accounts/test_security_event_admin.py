"""Security events in the admin: read by those who may, edited by nobody."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiKey, SecurityEvent, User
from accounts.security_events.recording import Kind, Origin, record
from core.admin import COUNTED_ROWS
from tests.support.people import Person, person

EVENTS = "/admin/accounts/securityevent/"
KEYS = "/admin/accounts/apikey/"
USERS = "/admin/accounts/user/"


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", "a good password")


@pytest.fixture
def operator(client: Client, root: User) -> Client:
    client.force_login(root)
    return client


def staff(client: Client, *codenames: str) -> Client:
    dana = person("dana@example.com").user
    dana.is_staff = True
    dana.save()
    dana.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(dana)
    return client


@pytest.fixture
def failure(alice: Person) -> SecurityEvent:
    origin = Origin("203.0.113.9", "<b>Firefox</b>")
    record(Kind.SIGN_IN_FAILED, user=alice.user, origin=origin, reason="credentials")
    return SecurityEvent.objects.get(kind=Kind.SIGN_IN_FAILED)


def rows(client: Client, query: str = "") -> int:
    page = client.get(f"{EVENTS}{query}")
    assert page.status_code == 200
    return page.text.count('class="field-kind"')


def test_an_operator_reads_events(operator: Client, failure: SecurityEvent) -> None:
    listed, shown = operator.get(EVENTS).text, operator.get(f"{EVENTS}{failure.pk}/change/").text
    for page in (listed, shown):
        assert "alice@example.com" in page
        assert "203.0.113.9" in page
        assert "&lt;b&gt;Firefox" in page
        assert "<b>Firefox" not in page


def test_nobody_edits_events(operator: Client, failure: SecurityEvent) -> None:
    page = f"{EVENTS}{failure.pk}"
    assert operator.get(f"{EVENTS}add/").status_code == 403
    assert operator.post(f"{page}/change/", {"kind": "signed_in"}).status_code == 403
    assert operator.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [str(failure.pk)], "post": "yes"}
    operator.post(EVENTS, chosen)
    assert SecurityEvent.objects.get(pk=failure.pk).kind == Kind.SIGN_IN_FAILED


def test_staff_without_the_permission_see_none(client: Client, failure: SecurityEvent, alice: Person) -> None:
    staff(client, "view_user")
    assert client.get(EVENTS).status_code == 403
    assert client.get(f"{EVENTS}{failure.pk}/change/").status_code == 403
    assert EVENTS not in client.get(f"{USERS}{alice.user.pk}/change/").text

    staff(client, "view_user", "view_securityevent")
    assert rows(client) > 0
    assert EVENTS in client.get(f"{USERS}{alice.user.pk}/change/").text


def test_events_are_found_by_kind_time_user_address_and_key(
    operator: Client, failure: SecurityEvent, alice: Person, charlie: Person
) -> None:
    key = ApiKey.objects.get(user=charlie.user)

    assert rows(operator, "?kind=sign_in_failed") == 1
    assert rows(operator, "?kind=sign_in_failed&at__gte=2020-01-01+00:00Z&at__lt=2021-01-01+00:00Z") == 0
    assert rows(operator, "?q=ALICE") == 2, "her key and the wrong password"
    assert rows(operator, "?q=203.0.113.9") == 1
    assert rows(operator, f"?q={key.prefix}…") == 1
    assert rows(operator, "?q=nobody@example.com") == 0
    assert rows(operator) == 4, "with the operator's sign-in and Charlie's key"
    found = operator.get(f"{USERS}{alice.user.pk}/change/").text
    assert f"{EVENTS}?user__id__exact={alice.user.pk}" in found
    assert rows(operator, f"?user__id__exact={alice.user.pk}") == 2


@pytest.mark.parametrize(
    "query", ["?q=%00", "?kind=%00", "?user__id__exact=x", "?at__gte=x", "?p=999", "?q=fe80::1%25eth0"]
)
def test_no_query_is_an_error(operator: Client, query: str) -> None:
    assert operator.get(f"{EVENTS}{query}").status_code in {200, 302}


def test_a_list_is_counted_only_so_far_and_read_by_an_index(operator: Client, failure: SecurityEvent) -> None:
    with CaptureQueriesContext(connection) as queries:
        rows(operator, "?kind=sign_in_failed")
    asked = [query["sql"] for query in queries if "accounts_securityevent" in query["sql"]]
    counts = [sql for sql in asked if "COUNT(" in sql]
    assert counts
    assert all(f"LIMIT {COUNTED_ROWS}" in sql for sql in counts)


def test_what_an_operator_does_with_keys_says_who_did_it(operator: Client, root: User, alice: Person) -> None:
    form = {
        "workspace": str(alice.workspace.pk),
        "user": str(alice.user.pk),
        "name": "phone",
        "scopes": ["files"],
    }
    assert operator.post(f"{KEYS}add/", form).status_code == 302
    key = ApiKey.objects.get(name="phone")
    operator.post(KEYS, {"action": "revoke", "_selected_action": [str(key.pk)]})
    assert operator.post(f"{KEYS}{key.pk}/delete/", {"post": "yes"}).status_code == 302

    events = SecurityEvent.objects.filter(key_id=key.pk).order_by("at", "id")
    assert [(event.kind, event.user, event.by) for event in events] == [
        ("key_created", alice.user, root),
        ("key_revoked", alice.user, root),
        ("key_deleted", alice.user, root),
    ]


def test_what_an_operator_does_with_users_says_who_did_it(
    operator: Client, root: User, charlie: Person
) -> None:
    page = f"{USERS}{charlie.user.pk}"
    form = {"email": "charly@example.com", "is_active": "on"}
    assert operator.post(f"{page}/change/", form).status_code == 302
    wrong = {"usable_password": "true", "password1": "corr3ct horse", "password2": "another"}
    assert operator.post(f"{page}/password/", wrong).status_code == 200
    assert operator.post(f"{page}/password/", wrong | {"password2": "corr3ct horse"}).status_code == 302

    changes = SecurityEvent.objects.filter(user=charlie.user, by=root).order_by("at", "id")
    assert [(event.kind, event.details) for event in changes] == [
        ("email_changed", {"before": "charlie@example.com"}),
        ("password_changed", None),
    ]

    assert operator.post(f"{page}/delete/", {"post": "yes"}).status_code == 302
    last = SecurityEvent.objects.get(kind=Kind.ACCOUNT_DELETED)
    assert (last.user, last.by) == (None, root)
    assert not SecurityEvent.objects.filter(details__contains="charlie@example.com").exists()
