"""What operators do: the first start, invitations, and second factors that all of them must have."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import User
from accounts.workspaces import invitations
from tests.browser.conftest import PASSWORD, OpenBrowser
from tests.browser.on_pages import (
    confirm_password,
    enter_password,
    expect_heading,
    expect_message,
    look_at,
    sign_in,
    sign_out,
)
from tests.browser.one_time_codes import code_of
from tests.support.run_command import Run, running
from tests.support.running_server import database_url


@pytest.fixture(scope="module")
def guarded_site(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """A service that lets in who is invited, and operators with a second factor."""
    environment = {
        "DATABASE_URL": database_url(),
        "CHATAPI_SIGN_UP": "invitation",
        "CHATAPI_STAFF_SECOND_FACTOR": "required",
    }
    with django_db_blocker.unblock(), running(tmp_path_factory.mktemp("guarded"), **environment) as run:
        assert run.url
        yield run
        run.stop()


def test_the_first_start_says_how_to_sign_in(open_browser: OpenBrowser, tmp_path: Path) -> None:
    with running(tmp_path) as run:
        assert run.url
        said = dict(re.findall(r"^  (sign in at|email|password) +(\S+)$", run.output, re.MULTILINE))
        page = open_browser(base_url=run.url)
        page.goto(said["sign in at"])
        enter_password(page, said["email"], said["password"])
        expect_heading(page, "Your account")
        page.get_by_role("link", name="Admin site").first.click()
        expect_heading(page, "Site administration")

        page.goto("/accounts/")
        look_at(page, "Your account", "account-of-operator")
        page.get_by_role("link", name="Password").click()
        page.get_by_label("Current password").fill(said["password"])
        page.get_by_label("New password", exact=True).fill(PASSWORD)
        page.get_by_label("New password (again)").fill(PASSWORD)
        page.get_by_role("button", name="Change the password").click()
        expect_message(page, "The password is changed.")
        sign_out(page)
        expect(page.get_by_role("link", name="Sign up")).not_to_be_visible()
        sign_in(page, said["email"], PASSWORD)

        visitor = open_browser(base_url=run.url)
        visitor.goto("/accounts/signup/")
        look_at(visitor, "Sign-up is closed", "sign-up-closed")
        run.stop()


def test_who_is_invited_signs_up_once(guarded_site: Run, open_browser: OpenBrowser) -> None:
    invitation, token = invitations.invite("dora@example.com", None)
    page = open_browser(base_url=guarded_site.url)
    page.goto("/accounts/signup/")
    expect_heading(page, "Sign-up is closed")

    page.goto(invitations.link(invitation, token, guarded_site.url))
    page.get_by_label("Email").fill("charlie@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_text("The invitation is for another address.")).to_be_visible()
    look_at(page, "Sign up", "invitation-of-another")
    page.get_by_label("Email").fill("dora@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_text("You are signed in as dora@example.com.")).to_be_visible()

    other = open_browser(base_url=guarded_site.url)
    other.goto(invitations.link(invitation, token, guarded_site.url))
    expect_heading(other, "Sign-up is closed")


def test_an_operator_adds_the_second_factor_that_the_admin_site_needs(
    guarded_site: Run, open_browser: OpenBrowser, operator: User
) -> None:
    page = open_browser(base_url=guarded_site.url)
    page.goto("/admin/")
    enter_password(page, operator.email, PASSWORD)
    expect_message(page, "The admin site needs a second factor here. Add one, then go on.")
    look_at(page, "Second factor", "second-factor-required")
    page.get_by_role("link", name="Add an app").click()
    confirm_password(page, PASSWORD)
    secret = page.locator("#authenticator_secret").inner_text()
    page.get_by_label("Authenticator code").fill(code_of(secret))
    page.get_by_role("button", name="Add the app").click()
    expect_heading(page, "Recovery codes")
    page.get_by_label("I have saved my recovery codes").check()
    page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="Admin site").click()
    expect_heading(page, "Site administration")

    page.goto("/accounts/2fa/totp/deactivate/")
    page.get_by_role("button", name="Remove the app").click()
    expect(page.get_by_text("Administrators need a second factor here.")).to_be_visible()
    look_at(page, "Remove the authenticator app", "remove-required-app")
