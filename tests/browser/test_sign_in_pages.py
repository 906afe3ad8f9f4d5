"""Every page below /accounts/, each looked at once."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.urls import URLResolver
from playwright.sync_api import Page, Response, expect

from accounts.models import User
from accounts.sign_in.urls import urlpatterns
from tests.browser.complaints import Complaints
from tests.browser.conftest import PASSWORD
from tests.browser.mailbox import Mailbox
from tests.browser.on_pages import confirm_password, expect_heading, let_time_pass, look_at, sign_in

OPENED_IN_OTHER_TESTS = {
    "/accounts/login/code/confirm/",  # no sign-in by a mailed code
    "/accounts/2fa/webauthn/login/",  # what the script of the sign-in page asks
    "/accounts/2fa/recovery-codes/download/",  # they are shown once, on the page
}


def addresses(patterns: Iterable[Any], prefix: str = "/accounts/") -> Iterator[str]:
    """Return the addresses without a variable part."""
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, address)
        elif "<" not in address:
            yield address


PAGES = sorted(set(addresses(urlpatterns)) - OPENED_IN_OTHER_TESTS)


def test_every_page_is_shown_to_who_has_not_signed_in(page: Page, complaints: Complaints) -> None:
    complaints.expect(r"/3rdparty/login/error/: .* 401 ")
    visit_all(page, "visitor")
    for address in ("/accounts/confirm-email/no-key/", "/accounts/password/reset/key/1-no-key/"):
        page.goto(address)
        expect_heading(page, "The link does not work")


def test_every_page_is_shown_to_who_has_signed_in(page: Page, member: User, complaints: Complaints) -> None:
    complaints.expect(r"/3rdparty/login/error/: .* 401 ")
    complaints.expect(r"/2fa/(recovery-codes|totp/deactivate)/: .* 404 ")  # there is no factor
    sign_in(page, member.email, PASSWORD)
    page.goto("/accounts/2fa/totp/activate/")
    confirm_password(page, PASSWORD)
    expect_heading(page, "Add an authenticator app")
    visit_all(page, "member")


def visit_all(page: Page, who: str) -> None:
    """Look once at each page that some address leads to."""
    seen = set()
    for address in PAGES:
        answer = page.goto(address)
        assert isinstance(answer, Response)
        assert answer.status in {200, 401, 404}, f"{address}: {answer.status}"
        path = answer.url.partition("?")[0]
        if answer.status != 404 and path not in seen:
            seen.add(path)
            heading = page.get_by_role("heading", level=1).inner_text()
            expect(page).to_have_title(f"{heading} · chatapi")
            look_at(page, heading, f"{who}{path[path.index('/accounts') :].replace('/', '-')}")


def test_a_code_by_mail_proves_who_somebody_is(page: Page, member: User, mailbox: Mailbox) -> None:
    sign_in(page, member.email, PASSWORD)
    let_time_pass(page)
    page.goto("/accounts/2fa/totp/activate/")
    page.get_by_role("link", name="Send me a sign-in code").click()
    page.get_by_role("button", name="Send the code").click()
    look_at(page, "Enter the code", "is-it-you-mailed-code")
    [code] = mailbox.expect(member.email, "Your code", r"^[A-Z0-9-]{5,}$")
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Go on").click()
    expect_heading(page, "Add an authenticator app")
