"""What the other browser tests stand on: complaints fail them, obstacles are found, passkeys can be made."""

import pytest
from playwright.sync_api import Error, Page, expect

from tests.browser.authenticator import add_authenticator
from tests.browser.complaints import Complaints
from tests.browser.conftest import OpenBrowser
from tests.browser.on_pages import check_accessibility

MAKE_PASSKEY = """async () => {
    const made = await navigator.credentials.create({publicKey: {
        rp: {name: "chatapi"},
        user: {id: new Uint8Array(8), name: "alice@example.com", displayName: "Alice"},
        challenge: new Uint8Array(16),
        pubKeyCredParams: [-7, -257].map(alg => ({type: "public-key", alg})),
    }});
    return made.type;
}"""


ADD_SCRIPT = "document.body.append(Object.assign(document.createElement('script'), %s))"


@pytest.mark.parametrize(
    "attack",
    [
        ADD_SCRIPT % "{text: 'window.hurt = true'}",
        ADD_SCRIPT % "{src: 'data:,window.hurt=true'}",
        "document.body.innerHTML = '<img src=data:, onerror=\"window.hurt = true\">'",
    ],
    ids=["inline", "from elsewhere", "event handler"],
)
def test_a_script_that_got_into_a_page_does_not_run_and_is_complained_about(
    attack: str, page: Page, complaints: Complaints
) -> None:
    complaints.expect("Content Security Policy")
    page.goto("/docs")
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate(attack)
    assert page.evaluate("window.hurt") is None


def test_our_own_pages_take_no_markup_from_scripts(page: Page, complaints: Complaints) -> None:
    complaints.expect("This document requires 'TrustedHTML' assignment")
    page.goto("/accounts/login/")
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<p>From elsewhere'")
    expect(page.get_by_label("Password")).to_be_visible()


def test_complaints_that_nobody_expects_fail_a_test(page: Page, complaints: Complaints) -> None:
    complaints.expect("broken")
    noted = Complaints()
    noted.watch(page)
    noted.check()
    with page.expect_event("pageerror"):
        page.evaluate("() => { setTimeout(() => { throw new Error('broken') }) }")
    with pytest.raises(AssertionError, match="broken"):
        noted.check()


def test_a_complaint_that_is_expected_must_come(page: Page) -> None:
    noted = Complaints()
    noted.expect("broken")
    with pytest.raises(AssertionError, match="does not complain about"):
        noted.check()


def test_obstacles_are_found_and_named(page: Page) -> None:
    page.goto("/accounts/login/")
    check_accessibility(page)
    page.evaluate("document.querySelector('label[for=id_password]').remove()")
    page.evaluate(
        "document.querySelector('#id_password').removeAttribute('placeholder')"
    )  # it is a name, too
    with pytest.raises(AssertionError, match=r"critical label at \['#id_password'\]: Form"):
        check_accessibility(page)


def test_each_browser_has_cookies_of_its_own(open_browser: OpenBrowser) -> None:
    one, other = open_browser(), open_browser()
    one.goto("/accounts/login/")
    assert one.context.cookies()
    assert not other.context.cookies()


def test_a_passkey_is_made_on_localhost(page: Page) -> None:
    add_authenticator(page)
    page.goto("/accounts/login/")
    expect(page.get_by_label("Password")).to_be_visible()
    assert page.evaluate(MAKE_PASSKEY) == "public-key"
