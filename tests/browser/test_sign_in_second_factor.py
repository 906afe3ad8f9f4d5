"""Second factors: an app's codes, recovery codes, keys and passkeys."""

import re

from playwright.sync_api import Page, expect

from accounts.models import User
from tests.browser.authenticator import add_authenticator
from tests.browser.conftest import PASSWORD, OpenBrowser
from tests.browser.on_pages import (
    confirm_password,
    enter_password,
    expect_heading,
    expect_message,
    let_time_pass,
    look_at,
    sign_in,
    sign_out,
)
from tests.browser.one_time_codes import code_of
from tests.support.run_command import Run


def test_an_app_and_recovery_codes_let_somebody_in(page: Page, member: User) -> None:
    sign_in(page, member.email, PASSWORD)
    secret, codes = add_an_app(page)

    sign_out(page)
    look_at(page, "Sign in", "signed-out")
    enter_password(page, member.email, PASSWORD)
    look_at(page, "Second factor", "enter-code")
    enter_code(page, "000000", "Sign in")
    expect(page.get_by_text("The code is wrong")).to_be_visible()
    look_at(page, "Second factor", "enter-code-refused")
    enter_code(page, code_of(secret, steps_ahead=1), "Sign in")
    expect_heading(page, "Your account")

    sign_out(page)
    enter_password(page, member.email, PASSWORD)
    enter_code(page, codes[0], "Sign in")
    expect_heading(page, "Your account")

    page.get_by_role("link", name="Second factor").click()
    expect(page.get_by_text("9 left.")).to_be_visible()
    let_time_pass(page)
    page.get_by_role("link", name="Remove the app").click()
    page.get_by_role("link", name="Use authenticator app or code").click()
    expect(page.get_by_label("Code")).to_be_visible()
    look_at(page, "Is it you?", "is-it-you-code")
    enter_code(page, codes[1], "Go on")
    look_at(page, "Remove the authenticator app", "remove-app")
    page.get_by_role("button", name="Remove the app").click()
    expect_message(page, "The authenticator app is removed.")
    sign_out(page)
    sign_in(page, member.email, PASSWORD)


def add_an_app(page: Page) -> tuple[str, list[str]]:
    """Add an authenticator app, erring at each step; return its secret and the recovery codes."""
    page.get_by_role("link", name="Second factor").click()
    look_at(page, "Second factor", "second-factor-off")
    page.get_by_role("link", name="Add an app").click()
    look_at(page, "Is it you?", "is-it-you")
    confirm_password(page, "wrong")
    expect(page.get_by_text("The password is wrong.")).to_be_visible()
    look_at(page, "Is it you?", "is-it-you-refused")
    confirm_password(page, PASSWORD)
    look_at(page, "Add an authenticator app", "add-app")
    secret = page.locator("#authenticator_secret").inner_text()
    enter_code(page, "000000", "Add the app")
    expect(page.get_by_text("The code is wrong")).to_be_visible()
    expect(page.get_by_label("Authenticator code")).to_be_focused()
    look_at(page, "Add an authenticator app", "add-app-refused")
    assert page.locator("#authenticator_secret").inner_text() == secret
    enter_code(page, code_of(secret), "Add the app")
    expect_message(page, "The authenticator app is added.")
    look_at(page, "Recovery codes", "recovery-codes")
    codes = page.get_by_label("Your codes").input_value().split()
    assert len(codes) == 10
    page.get_by_label("I have saved my recovery codes").check()
    page.get_by_role("link", name="Done").click()
    look_at(page, "Second factor", "second-factor-on")
    page.goto("/accounts/2fa/recovery-codes/")
    expect(page.get_by_text("10 of 10 are left.")).to_be_visible()
    expect(page.get_by_text(codes[0])).not_to_be_visible()
    look_at(page, "Recovery codes", "recovery-codes-again")
    return secret, codes


def enter_code(page: Page, code: str, button: str) -> None:
    page.get_by_label(re.compile("code", re.IGNORECASE)).fill(code)
    page.get_by_role("button", name=button, exact=True).click()


def test_a_key_is_added_used_and_removed(page: Page, member: User) -> None:
    add_authenticator(page)
    sign_in(page, member.email, PASSWORD)
    page.goto("/accounts/2fa/")
    page.get_by_role("link", name="Add one").click()
    confirm_password(page, PASSWORD)
    look_at(page, "Add a security key or passkey", "add-key")
    page.get_by_label("Name").fill("blue key")
    page.get_by_role("button", name="Add it").click()
    expect_message(page, "The key is added.")
    expect_heading(page, "Recovery codes")
    page.get_by_label("I have saved my recovery codes").check()

    page.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_text("not used yet")).to_be_visible()
    look_at(page, "Security keys and passkeys", "keys")
    page.get_by_role("link", name="Rename blue key").click()
    look_at(page, "Rename the key", "rename-key")
    page.get_by_label("Name").fill("green key")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("green key")).to_be_visible()
    sign_out(page)

    enter_password(page, member.email, PASSWORD)
    look_at(page, "Second factor", "use-key")
    page.get_by_role("button", name="Use a security key").click()
    expect_heading(page, "Your account")

    page.goto("/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Remove green key").click()
    page.get_by_role("link", name="Use a security key").click()
    expect(page.get_by_role("button", name="Use a security key")).to_be_visible()
    look_at(page, "Is it you?", "is-it-you-key")
    page.get_by_role("button", name="Use a security key").click()
    look_at(page, "Remove the key", "remove-key")
    page.get_by_role("button", name="Remove the key").click()
    expect(page.get_by_text("There are none yet.")).to_be_visible()
    look_at(page, "Security keys and passkeys", "no-keys")


def test_a_passkey_lets_somebody_in_without_a_password(page: Page, member: User) -> None:
    authenticator = add_authenticator(page)
    sign_in(page, member.email, PASSWORD)
    page.goto("/accounts/2fa/webauthn/add/")
    confirm_password(page, PASSWORD)
    page.get_by_label("Name").fill("this laptop")
    page.get_by_label("Make it a passkey").check()
    authenticator.refuse()
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("The security key was not used")
    look_at(page, "Add a security key or passkey", "add-key-cancelled")
    authenticator.agree()
    page.get_by_role("button", name="Add it").click()
    expect_heading(page, "Recovery codes")
    page.get_by_label("I have saved my recovery codes").check()
    sign_out(page)

    page.get_by_role("button", name="Sign in with a passkey").click()
    expect_heading(page, "Your account")


def test_a_ceremony_that_is_cancelled_is_said_on_the_page(page: Page) -> None:
    add_authenticator(page).refuse()
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("The security key was not used")
    look_at(page, "Sign in", "passkey-cancelled")


def test_an_address_without_a_name_offers_an_app_alone(
    open_browser: OpenBrowser, member: User, site: Run
) -> None:
    page = open_browser(base_url=site.url.replace("localhost", "127.0.0.1"))
    page.goto("/accounts/login/")
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Sign in with a passkey")).not_to_be_visible()
    sign_in(page, member.email, PASSWORD)
    page.get_by_role("link", name="Second factor").click()
    expect(page.get_by_role("link", name="Add an app")).to_be_visible()
    expect(page.get_by_role("link", name="Add one")).not_to_be_visible()
    expect(page.get_by_text("only at a name under HTTPS, or at localhost")).to_be_visible()
    look_at(page, "Second factor", "second-factor-at-an-address")
