"""The code of docs/frontends.md, run as a frontend would run it."""

import re
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.utils import timezone
from playwright.sync_api import Page

from accounts.models import EndUserToken, User
from chatapi.env import ROOT
from tests.browser.complaints import Complaints
from tests.browser.conftest import PASSWORD
from tests.browser.on_pages import confirm_password, sign_in
from tests.browser.one_time_codes import code_of
from tests.browser.other_origin import OtherOrigin
from tests.support.people import Person
from tests.support.run_command import Run

PAGE = (
    "<!doctype html><html lang=en><link rel=icon href='data:,'><title>A frontend</title><script>{}</script>"
)
ASK = """async () => {
    const pieces = [];
    await ask("Hello", (piece) => pieces.push(piece));
    return pieces;
}"""
WRONG = "([email]) => signIn(email, 'wrong').catch((error) => error.message)"
SIGN_IN = "([email, password]) => signIn(email, password)"


def code_below(heading: str) -> str:
    """Return the first block of JavaScript below a heading of the document."""
    text = (ROOT / "docs" / "frontends.md").read_text()
    below = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    [block] = re.findall(r"^```js\n(.*?)^```$", below, re.DOTALL | re.MULTILINE)
    return str(block)


CROSS_ORIGIN, SAME_SITE = code_below("Sign in from another origin"), code_below("Sign in on the same site")
WITH_TOKEN = code_below("Keys and tokens")
ASKING = CROSS_ORIGIN[CROSS_ORIGIN.index("async function ask(") :]
THE_SAME = CROSS_ORIGIN[CROSS_ORIGIN.index("const signIn =") :]


@pytest.fixture
def frontend(page: Page, site: Run, other_origin: OtherOrigin) -> Page:
    """A page of another origin, with the script of the document."""
    other_origin.pages["/"] = PAGE.format(CROSS_ORIGIN.replace("https://chat.example.com", site.url))
    page.goto(other_origin.url)
    return page


def test_a_page_of_another_origin_signs_in_and_streams(
    frontend: Page, member: User, complaints: Complaints
) -> None:
    complaints.expect(r"/v1/auth/login: .* 400 ")
    complaints.expect(r"/v1/auth/session: .* 401 ")
    complaints.expect(r"/v1/me: .* 401 ")
    assert frontend.evaluate(WRONG, [member.email]) == "The address or the password is wrong."
    assert frontend.evaluate(SIGN_IN, [member.email, PASSWORD]) == "signed in"
    assert frontend.context.cookies() == []
    check_stream(frontend)
    frontend.reload()
    assert me(frontend) == (200, member.email)

    token = frontend.evaluate("token")
    assert frontend.evaluate("signOut()") == "signed out"
    frontend.evaluate("value => { token = value }", token)
    assert me(frontend) == (401, None)


def test_a_page_of_another_origin_asks_for_the_second_factor(
    frontend: Page, page: Page, member: User, site: Run, complaints: Complaints
) -> None:
    complaints.expect(r"/v1/auth/login: .* 401 ")
    complaints.expect(r"/v1/auth/2fa/authenticate: .* 400 ")
    address = frontend.url
    secret = add_app(page, member, site)
    page.goto(address)
    assert page.evaluate(SIGN_IN, [member.email, PASSWORD]) == "mfa_authenticate"
    refused = page.evaluate("sendCode('000000').catch((error) => error.message)")
    assert refused == "The code is wrong, or was used already."
    assert page.evaluate("code => sendCode(code)", code_of(secret, steps_ahead=1)) == "signed in"
    assert me(page) == (200, member.email)


def add_app(page: Page, member: User, site: Run) -> str:
    """Add an authenticator app to the member's account; return its secret."""
    sign_in(page, member.email, PASSWORD)
    page.goto(f"{site.url}/accounts/2fa/totp/activate/")
    confirm_password(page, PASSWORD)
    secret = page.locator("#authenticator_secret").inner_text()
    page.get_by_label("Authenticator code").fill(code_of(secret))
    page.get_by_role("button", name="Add the app").click()
    page.get_by_label("I have saved my recovery codes").check()
    return secret


def test_a_page_on_the_same_site_signs_in_by_cookie(page: Page, member: User, complaints: Complaints) -> None:
    complaints.expect(r"/v1/auth/session: .* 401 ")
    complaints.expect(r"/v1/me: .* 401 ")
    page.goto("/accounts/login/")  # any page of the origin; a proxy would add the frontend's
    page.context.clear_cookies()
    page.evaluate(f"() => {{ {SAME_SITE}{THE_SAME} Object.assign(window, {{send, signIn, signOut, ask}}) }}")
    assert page.evaluate(SIGN_IN, [member.email, PASSWORD]) == "signed in"
    assert page.evaluate("document.cookie.includes('sessionid')") is False
    check_stream(page)
    assert me(page) == (200, member.email)
    assert page.evaluate("signOut()") == "signed out"
    assert me(page) == (401, None)


def check_stream(page: Page) -> None:
    pieces = page.evaluate(ASK)
    assert "".join(pieces) == "You said: Hello"
    assert len([piece for piece in pieces if piece]) > 1


def me(page: Page) -> tuple[int, Any]:
    """Ask the service who is signed in."""
    status, email = page.evaluate(
        "send('GET', '/v1/me').then(async (answer) => [answer.status, (await answer.json()).email])"
    )
    return status, email


# --- with a token of one's own server -----------------------------------------------------------


class Product:
    """A product with accounts of its own: its server has Alice's key, and its page asks it for tokens."""

    def __init__(self, site: Run, key: str) -> None:
        self.is_signed_in = True
        self.made = 0
        self._service = f"{site.url}/v1/end_user_tokens"
        self._headers = {"Authorization": f"Bearer {key}"}

    def make_token(self) -> tuple[int, dict[str, Any]]:
        if not self.is_signed_in:
            return 403, {}
        self.made += 1
        body = {"user": "customer-17", "expires_in_seconds": 900, "spending_limit_usd": "0.50"}
        answer = httpx2.post(self._service, json=body, headers=self._headers)
        return 200, {"token": answer.json()["token"]}

    def sign_out(self) -> None:
        self.is_signed_in = False
        answer = httpx2.post(f"{self._service}/revoke", json={"user": "customer-17"}, headers=self._headers)
        assert answer.json()["revoked"] == 1


@pytest.fixture
def product(site: Run, alice: Person, other_origin: OtherOrigin) -> Product:
    product = Product(site, alice.key)
    other_origin.actions["/chat-token"] = product.make_token
    return product


def test_a_page_of_a_product_talks_with_a_token_of_its_server(
    page: Page,
    site: Run,
    alice: Person,
    product: Product,
    other_origin: OtherOrigin,
    complaints: Complaints,
) -> None:
    script = (WITH_TOKEN + ASKING).replace("https://chat.example.com", site.url)
    other_origin.pages["/product"] = PAGE.format(script)
    page.goto(f"{other_origin.url}/product")

    check_stream(page)
    check_stream(page)
    assert product.made == 1
    listed = "send('GET', '/v1/conversations').then((answer) => answer.json())"
    assert [row["user"] for row in page.evaluate(listed)["data"]] == ["customer-17"] * 2
    assert page.context.cookies() == []
    assert alice.key not in page.content()

    complaints.expect(r" 401 ")
    EndUserToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    check_stream(page)
    assert product.made == 2

    complaints.expect(r" 403 ")
    EndUserToken.objects.filter(expires_at__lt=timezone.now()).delete()
    product.sign_out()
    refused = page.evaluate("ask('Hello', () => {}).catch((error) => error.message)")
    assert refused == "You are signed out."
