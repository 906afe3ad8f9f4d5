"""Sign-in by a company's own server, by configuration alone."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from django.http import HttpRequest
from django.test import RequestFactory
from pytest_django import Settings

from accounts.sign_in.social_adapter import SocialAdapter
from accounts.workspaces.invitations import invite
from tests.support.identity_provider import CLIENT_ID, SECRET, IdentityProvider, identity_provider
from tests.support.run_command import Run, manage, running

ADMIN = "admin@localhost"
pytestmark = pytest.mark.xdist_group("identity_provider")


def variables(url: str, name: str = "COMPANY", *, trusted: bool = False) -> dict[str, str]:
    prefix = f"CHATAPI_SIGN_IN_{name}"
    return {
        f"{prefix}_URL": url,
        f"{prefix}_CLIENT_ID": CLIENT_ID,
        f"{prefix}_SECRET": SECRET,
        f"{prefix}_TRUSTED": str(int(trusted)),
    }


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as server:
        yield server


@pytest.fixture(scope="module")
def service(provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A service whose sign-up is closed, with a provider that is trusted and one that is not."""
    names = variables(provider.url, trusted=True) | variables(provider.url, "ANYBODY")
    with running(
        tmp_path_factory.mktemp("data"), CHATAPI_SIGN_IN_PROVIDERS="company,anybody", **names
    ) as run:
        assert run.url
        yield run


@pytest.fixture
def browser(service: Run) -> Iterator[httpx2.Client]:
    with service.client() as client:
        yield client


def led_to_provider(browser: httpx2.Client, name: str) -> str:
    page = browser.get(f"/accounts/oidc/{name}/login/")
    [token] = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page.text)
    led = browser.post(f"/accounts/oidc/{name}/login/", data={"csrfmiddlewaretoken": token})
    assert led.status_code == 302, led.text
    return led.headers["location"]


def come_back(browser: httpx2.Client, name: str, query: str) -> httpx2.Response:
    return browser.get(f"/accounts/oidc/{name}/login/callback/?{query}")


def sign_in(
    browser: httpx2.Client,
    provider: IdentityProvider,
    name: str,
    sub: str,
    email: str,
    *,
    verified: bool = True,
) -> httpx2.Response:
    query = provider.grant(led_to_provider(browser, name), sub=sub, email=email, email_verified=verified)
    return come_back(browser, name, query)


def is_signed_in(browser: httpx2.Client) -> bool:
    return browser.get("/accounts/").status_code == 200


def test_whoever_a_trusted_provider_knows_is_in(browser: httpx2.Client, provider: IdentityProvider) -> None:
    assert "Company" in browser.get("/accounts/login/").text
    assert sign_in(browser, provider, "company", "1", "alice@company.example").status_code == 302
    assert is_signed_in(browser)
    assert "alice@company.example" in browser.get("/accounts/").text


def test_a_trusted_provider_signs_in_whom_the_service_knows_by_address(
    browser: httpx2.Client, provider: IdentityProvider
) -> None:
    sign_in(browser, provider, "company", "2", ADMIN)
    assert is_signed_in(browser)
    assert browser.get("/admin/").status_code == 200


def test_nobody_signs_up_by_a_provider_that_is_not_trusted_where_that_is_closed(
    browser: httpx2.Client, provider: IdentityProvider
) -> None:
    answered = sign_in(browser, provider, "anybody", "3", "mallory@anybody.example")
    assert answered.status_code in {200, 302, 403}
    assert not is_signed_in(browser)


def test_a_provider_that_is_not_trusted_takes_over_nobody(
    browser: httpx2.Client, provider: IdentityProvider
) -> None:
    sign_in(browser, provider, "anybody", "4", ADMIN)
    assert not is_signed_in(browser)


def test_a_user_id_of_one_provider_means_nothing_to_another(
    browser: httpx2.Client, service: Run, provider: IdentityProvider
) -> None:
    sign_in(browser, provider, "company", "5", "bob@company.example")
    assert is_signed_in(browser)
    with service.client() as stranger:
        sign_in(stranger, provider, "anybody", "5", "mallory@anybody.example")
        assert not is_signed_in(stranger)


@pytest.mark.parametrize(
    "forged", ["", "state=", "state=forged", "code=granted", "code=granted&state=forged", "error=x"]
)
def test_a_forged_return_signs_nobody_in(
    browser: httpx2.Client, provider: IdentityProvider, forged: str
) -> None:
    led_to_provider(browser, "company")
    assert come_back(browser, "company", forged).status_code in {200, 302, 401, 403}
    assert not is_signed_in(browser)


def test_nobody_is_signed_in_as_somebody_else_by_their_link(
    browser: httpx2.Client, service: Run, provider: IdentityProvider
) -> None:
    """An attacker sends a victim the return of his own sign-in: the state is of his browser alone."""
    query = provider.grant(led_to_provider(browser, "company"), sub="6", email="mallory@company.example")
    with service.client() as victim:
        come_back(victim, "company", query)
        assert not is_signed_in(victim)


def test_a_return_is_used_once(browser: httpx2.Client, service: Run, provider: IdentityProvider) -> None:
    query = provider.grant(led_to_provider(browser, "company"), sub="7", email="carol@company.example")
    come_back(browser, "company", query)
    assert is_signed_in(browser)
    browser.cookies.delete("sessionid")
    come_back(browser, "company", query)
    assert not is_signed_in(browser)


@pytest.mark.parametrize("email", ["", "no address", "x" * 400 + "@a.example", None, 7, ["a@b.example"], {}])
def test_nothing_that_a_provider_says_breaks_the_service(
    browser: httpx2.Client, service: Run, provider: IdentityProvider, email: object
) -> None:
    query = provider.grant(led_to_provider(browser, "company"), sub="8", email=email)
    assert come_back(browser, "company", query).status_code < 500


def test_a_provider_that_is_down_is_no_failure_of_the_service(
    browser: httpx2.Client, provider: IdentityProvider
) -> None:
    query = provider.grant(led_to_provider(browser, "company"), sub="9", email="dave@company.example")
    provider.is_broken = True
    try:
        answered = come_back(browser, "company", query)
        assert (answered.status_code, answered.json()["error"]["code"]) == (503, "sign_in_provider")
        page = browser.get("/accounts/oidc/company/login/")
        [token] = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page.text)
        led = browser.post("/accounts/oidc/company/login/", data={"csrfmiddlewaretoken": token})
        assert led.status_code in {200, 503}
    finally:
        provider.is_broken = False


def test_no_provider_of_another_name_is_there(browser: httpx2.Client) -> None:
    assert browser.get("/accounts/oidc/nobody/login/").status_code == 404
    assert browser.get("/accounts/github/login/").status_code == 404


@pytest.mark.parametrize(
    ("named", "environment"),
    [
        ("COMPANY_URL", {}),
        ("COMPANY_CLIENT_ID", {"CHATAPI_SIGN_IN_COMPANY_URL": "https://id.example"}),
        ("COMPANY_SECRET", variables("https://id.example") | {"CHATAPI_SIGN_IN_COMPANY_SECRET": ""}),
        ("COMPANY_URL", variables("")),
        ("COMPANY_URL", variables("not a url")),
        ("COMPANY_URL", variables("ftp://id.example")),
        ("COMPANY_TRUSTED", variables("https://id.example") | {"CHATAPI_SIGN_IN_COMPANY_TRUSTED": "maybe"}),
        ("PROVIDERS", {"CHATAPI_SIGN_IN_PROVIDERS": "My Company"}),
        ("PROVIDERS", {"CHATAPI_SIGN_IN_PROVIDERS": "company,company"} | variables("https://id.example")),
    ],
)
def test_a_wrong_variable_ends_the_start_in_one_line(
    tmp_path: Path, named: str, environment: dict[str, str]
) -> None:
    done = manage(tmp_path, "check", **{"CHATAPI_SIGN_IN_PROVIDERS": "company", **environment})
    assert done.returncode != 0
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("chatapi: ")
    assert f"CHATAPI_SIGN_IN_{named}" in line
    assert SECRET not in line


# --- whom a provider speaks for -----------------------------------------------------------------------


def sign_in_told_by(provider: str, *, trusted: bool) -> SocialLogin:
    app = SocialApp(provider=provider, settings={"sign_up": trusted})
    told = SocialLogin(
        account=SocialAccount(provider=provider, uid="7"),
        email_addresses=[EmailAddress(email="alice@example.com", verified=True)],
    )
    told.provider = OpenIDConnectProvider(HttpRequest(), app=app)
    return told


@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_trusted_provider_says_whose_an_address_is(rf: RequestFactory, trusted: bool) -> None:
    told = sign_in_told_by("company", trusted=trusted)

    SocialAdapter().pre_social_login(rf.get("/"), told)

    assert [address.verified for address in told.email_addresses] == [trusted]


@pytest.mark.parametrize(
    ("sign_up", "trusted", "may"),
    [
        ("closed", True, True),
        ("closed", False, False),
        ("invitation", True, True),
        ("invitation", False, False),
        ("open", False, True),
    ],
)
def test_an_invitation_lets_nobody_in_by_a_provider(
    rf: RequestFactory, db: None, settings: Settings, sign_up: str, trusted: bool, may: bool
) -> None:
    """Its link would do for any number of people: a provider's answer says nothing of it."""
    settings.CHATAPI_SIGN_UP = sign_up
    _, token = invite("alice@example.com", None)
    request = rf.get("/accounts/oidc/company/login/callback/", {"invitation": token})

    assert SocialAdapter().is_open_for_signup(request, sign_in_told_by("company", trusted=trusted)) is may
