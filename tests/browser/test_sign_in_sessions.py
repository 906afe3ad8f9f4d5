"""Sessions: where somebody is signed in, and how that ends."""

from playwright.sync_api import Page, expect

from accounts.models import User
from tests.browser.conftest import PASSWORD, OpenBrowser
from tests.browser.on_pages import expect_heading, expect_message, look_at, sign_in

PHONE_BROWSER = "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/140.0 Mobile Safari/537.36"


def test_a_session_is_ended_from_another_browser(page: Page, open_browser: OpenBrowser, member: User) -> None:
    phone = open_browser(user_agent=PHONE_BROWSER)
    sign_in(phone, member.email, PASSWORD)
    sign_in(page, member.email, PASSWORD)
    page.get_by_role("link", name="Sessions").click()
    expect(page.get_by_role("listitem")).to_have_count(2)
    look_at(page, "Sessions", "sessions")
    page.get_by_role("button", name="End the session of Chrome on Android").click()
    expect_message(page, "Ended: 1 session.")
    expect(page.get_by_text("Chrome on Android")).not_to_be_visible()
    look_at(page, "Sessions", "sessions-ended")
    phone.goto("/accounts/")
    expect_heading(phone, "Sign in")
    page.goto("/accounts/")
    expect_heading(page, "Your account")


def test_somebody_signs_out_everywhere(page: Page, open_browser: OpenBrowser, member: User) -> None:
    other = open_browser()
    for browser in (other, page):
        sign_in(browser, member.email, PASSWORD)
    page.goto("/accounts/sessions/")
    page.get_by_role("button", name="Sign out everywhere").click()
    expect_heading(page, "Sign in")
    for browser in (other, page):
        browser.goto("/accounts/")
        expect_heading(browser, "Sign in")
