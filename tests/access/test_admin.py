"""Who opens which page of the admin: see `admin_rows.py`."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from tests.access.admin_rows import FOR_ALL_STAFF, NOBODY, PAGES, SHORT, SUPERUSERS
from tests.support.admin_secrets import plant_accounts, plant_books, plant_history
from tests.support.people import Person

HOME = "/admin/"
SIGN_IN = "/admin/login/"
NEVER = {int: 10**9, UUID: UUID(int=0)}
OPENED = 200


class Staff:
    """One person with other permissions each time, and a superuser."""

    def __init__(self) -> None:
        self._rita = User.objects.create_user("rita@example.com", is_staff=True)
        root = User.objects.create_superuser("root@example.com", "a good password")
        self.browser, self.superuser = Client(), Client()
        self.browser.force_login(self._rita)
        self.superuser.force_login(root)
        self._all = {permission.codename: permission for permission in Permission.objects.all()}

    def with_only(self, *names: str) -> Client:
        self._rita.user_permissions.set([self._all[name] for name in names])
        return self.browser

    def with_all_but(self, *names: str) -> Client:
        assert self._all.keys() >= {*names}
        return self.with_only(*(self._all.keys() - {*names}))


@pytest.fixture
def staff(alice: Person) -> Staff:
    plant_history(alice)
    plant_books(alice)
    plant_accounts(alice)
    return Staff()


def address(pattern: str, *, is_there: bool = True) -> str:
    """Return the address of a page about a row, or about one that never was."""
    app, name, *_ = pattern.split("/")
    model: Any = apps.get_model(app, name)
    row = model.objects.first()
    assert row is not None, f"Plant a row of {model._meta.label}."
    return HOME + re.sub("<.*>", str(row.pk if is_there else NEVER[type(row.pk)]), pattern)


def lacking(opened_by: str) -> Iterator[set[str]]:
    """Yield sets of permissions without which nobody may open a page, whatever else they may do."""
    if opened_by in (SUPERUSERS, NOBODY):
        yield set()
    else:
        for missing in product(*(one.split("+") for one in opened_by.split())):
            yield set(missing)


def model_of(pattern: str) -> str:
    return "/".join(pattern.split("/")[:2])


@pytest.mark.long
@pytest.mark.parametrize("model", sorted({model_of(pattern) for pattern in PAGES}))
def test_each_page_is_opened_by_its_permissions_alone(staff: Staff, model: str) -> None:
    """Who has all permissions but those that count has each other single one, too."""
    for pattern, opened_by in PAGES.items():
        if model_of(pattern) == model:
            check_who_is_refused(staff, pattern, opened_by)
            check_who_opens(staff, address(pattern), opened_by)


def check_who_is_refused(staff: Staff, pattern: str, opened_by: str) -> None:
    page, nowhere = address(pattern), address(pattern, is_there=False)
    for missing in lacking(opened_by):
        browser = staff.with_all_but(*missing)
        for method, path in product(("GET", "POST"), (page, nowhere) if missing else (page,)):
            answer = browser.generic(method, path)
            assert answer.status_code == 403, f"without {missing}: {method} {path} → {answer.status_code}"


def check_who_opens(staff: Staff, page: str, opened_by: str) -> None:
    if opened_by not in (SUPERUSERS, NOBODY):
        for enough in opened_by.split():
            assert staff.with_only(*enough.split("+")).get(page).status_code == OPENED, (enough, page)
    assert staff.superuser.get(page).status_code == (403 if opened_by == NOBODY else OPENED), page


def test_what_all_staff_gets(staff: Staff) -> None:
    browser = staff.with_only()
    for pattern, status in FOR_ALL_STAFF.items():
        path = re.sub(r"<app_label>|\(.*\$", "billing", HOME + re.sub("<path:.*?>", "1", pattern))
        assert browser.get(path).status_code == status, path
    for pattern, is_there in product(sorted(SHORT), (True, False)):
        path = address(pattern, is_there=is_there)
        answer = browser.get(path)
        assert (answer.status_code, answer["location"]) == (302, f"{path}change/")


def test_an_app_is_listed_to_who_may_see_something_of_it(staff: Staff) -> None:
    for permission, expected in (("view_wallet", 200), ("view_conversation", 404), ("view_rate", 404)):
        assert staff.with_only(permission).get(f"{HOME}billing/").status_code == expected


def test_nobody_else_opens_anything(staff: Staff, alice: Person) -> None:
    browser, key, app = Client(), Client(headers=alice.headers), Client(headers=app_headers(alice))
    browser.force_login(alice.user)
    former = Client()
    former.force_login(User.objects.create_user("former@example.com", is_staff=True))
    User.objects.filter(email="former@example.com").update(is_staff=False)
    for pattern in sorted({*PAGES, *SHORT, ""}):
        path = address(pattern) if pattern else HOME
        for who in (Client(), browser, key, app, former):
            answer = who.get(path)
            assert (answer.status_code, answer["location"]) == (302, f"{SIGN_IN}?next={path}")
            assert who.post(path).status_code == 302
    assert browser.get(SIGN_IN).status_code == former.get(SIGN_IN).status_code == 403
    assert key.get(SIGN_IN)["location"].startswith("/accounts/login/")


def app_headers(who: Person) -> dict[str, str]:
    """Return what a superuser's app sends: that does not count here."""
    User.objects.filter(pk=who.user.pk).update(is_superuser=False)
    browser = Client()
    browser.force_login(User.objects.get(email="root@example.com"))
    return {"X-Session-Token": browser.cookies["sessionid"].value}
