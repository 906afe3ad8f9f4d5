"""Signing in with a password, signing up, and what becomes of a forgotten password."""

from playwright.sync_api import Page, expect

from accounts.models import User
from tests.browser.conftest import PASSWORD, OpenBrowser
from tests.browser.mailbox import Mailbox
from tests.browser.on_pages import (
    confirm_password,
    enter_password,
    expect_heading,
    expect_message,
    look_at,
    sign_in,
)

OTHER_PASSWORD = "a staple of correct batteries"


def test_somebody_signs_up_and_confirms_the_address(page: Page, mailbox: Mailbox) -> None:
    page.goto("/accounts/login/")
    look_at(page, "Sign in", "sign-in")
    page.get_by_role("link", name="Sign up").click()
    look_at(page, "Sign up", "sign-up")
    sign_up(page, "dora@example.com", "12345678")
    expect(page.get_by_text("This password is too common.")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_focused()
    look_at(page, "Sign up", "sign-up-refused")
    sign_up(page, "dora@example.com", PASSWORD)
    look_at(page, "Look into your mailbox", "sign-up-mail-sent")

    link = mailbox.link("dora@example.com", "Confirm your address")
    page.goto(link)
    expect(page.get_by_text("Is dora@example.com yours?")).to_be_visible()
    look_at(page, "Confirm your address", "confirm-address")
    page.get_by_role("button", name="Yes, confirm it").click()
    expect_message(page, "dora@example.com is confirmed.")
    expect(page.get_by_text("You are signed in as dora@example.com.")).to_be_visible()

    page.goto(link)
    look_at(page, "The link does not work", "confirm-address-again")
    page.get_by_role("link", name="Go to your account").click()
    expect_heading(page, "Your account")


def test_nobody_signs_in_before_the_address_is_confirmed(page: Page, mailbox: Mailbox) -> None:
    page.goto("/accounts/signup/")
    sign_up(page, "dora@example.com", PASSWORD)
    first = mailbox.link("dora@example.com", "Confirm your address")
    page.goto("/accounts/login/")
    enter_password(page, "dora@example.com", PASSWORD)
    expect_heading(page, "Look into your mailbox")
    page.goto(first)
    page.get_by_role("button", name="Yes, confirm it").click()
    expect_heading(page, "Your account")


def test_an_address_that_is_taken_looks_as_if_it_were_free(
    page: Page, member: User, mailbox: Mailbox
) -> None:
    page.goto("/accounts/signup/")
    sign_up(page, member.email, OTHER_PASSWORD)
    expect_heading(page, "Look into your mailbox")
    mailbox.expect(member.email, "You have an account already", "Choose a new one here:")


def sign_up(page: Page, email: str, password: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign up").click()


def test_a_forgotten_password_is_replaced_by_a_link(page: Page, member: User, mailbox: Mailbox) -> None:
    page.goto("/accounts/login/")
    page.get_by_role("link", name="Forgot your password?").click()
    look_at(page, "Forgotten password", "forgotten-password")
    page.get_by_label("Email").fill(member.email)
    page.get_by_role("button", name="Send the link").click()
    look_at(page, "Look into your mailbox", "forgotten-password-mail-sent")

    link = mailbox.link(member.email, "Choose a new password")
    page.goto(link)
    look_at(page, "Choose a new password", "new-password")
    page.get_by_label("New password", exact=True).fill(OTHER_PASSWORD)
    page.get_by_label("New password (again)").fill(OTHER_PASSWORD + "!")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("You must type the same password each time.")).to_be_visible()
    look_at(page, "Choose a new password", "new-password-refused")
    page.get_by_label("New password", exact=True).fill(OTHER_PASSWORD)
    page.get_by_label("New password (again)").fill(OTHER_PASSWORD)
    page.get_by_role("button", name="Change the password").click()
    expect_message(page, "The password is changed.")
    mailbox.expect(member.email, "Your password was changed", "If this was not you")

    page.goto("/accounts/login/")
    enter_password(page, member.email, PASSWORD)
    expect(page.get_by_text("The address or the password is wrong.")).to_be_visible()
    look_at(page, "Sign in", "sign-in-refused")
    sign_in(page, member.email, OTHER_PASSWORD)

    page.goto(link)
    look_at(page, "The link does not work", "new-password-again")


def test_the_password_and_the_address_are_changed(
    page: Page, open_browser: OpenBrowser, member: User, mailbox: Mailbox
) -> None:
    sign_in(page, member.email, PASSWORD)
    look_at(page, "Your account", "account")
    page.get_by_role("link", name="Password").click()
    look_at(page, "Change the password", "change-password")
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill(OTHER_PASSWORD)
    page.get_by_label("New password (again)").fill(OTHER_PASSWORD)
    page.get_by_role("button", name="Change the password").click()
    expect_message(page, "The password is changed.")

    page.goto("/accounts/email/")
    look_at(page, "Email address", "change-address")
    page.get_by_label("New address").fill("alicia@example.com")
    page.get_by_role("button", name="Change the address").click()
    confirm_password(page, OTHER_PASSWORD)
    expect_message(page, "A link is on its way to alicia@example.com.")
    look_at(page, "Email address", "change-address-sent")
    page.goto(mailbox.link("alicia@example.com", "Confirm your address"))
    page.get_by_role("button", name="Yes, confirm it").click()
    expect_message(page, "alicia@example.com is confirmed.")
    mailbox.expect(member.email, "Your address was changed", "to alicia@example.com")

    sign_in(open_browser(), "alicia@example.com", OTHER_PASSWORD)


def test_keys_of_the_keyboard_are_enough(page: Page, member: User) -> None:
    page.goto("/accounts/login/")
    press_tab_until(page, "Email")
    page.keyboard.type(member.email)
    press_tab_until(page, "Password")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator(".errorlist")).to_be_focused()
    press_tab_until(page, "Password")
    page.keyboard.type(PASSWORD)
    press_tab_until(page, "Sign in")
    page.keyboard.press("Enter")
    expect_heading(page, "Your account")


def press_tab_until(page: Page, name: str) -> None:
    """Press Tab until the field or button with this name has the focus, which must always be seen."""
    for _ in range(10):
        page.keyboard.press("Tab")
        focused = page.locator(":focus-visible")
        expect(focused).to_have_css("outline-style", "solid")
        expect(focused).to_have_css("outline-width", "3px")
        if focused.evaluate("field => (field.labels?.[0] || field).textContent.trim()") == name:
            return
    raise AssertionError(f"{name} is never focused")
