"""A real Chromium in front of `manage.py run`, which works on the test's own database."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import User
from accounts.services import personal_workspace
from accounts.sign_in.password_hasher import PasswordHasher
from accounts.sign_in.reset import verify_address
from deploy.with_chromium import find_chromium
from tests.browser.complaints import Complaints
from tests.browser.mailbox import Mailbox
from tests.browser.other_origin import OtherOrigin, serving_pages
from tests.support.database_reset import empty_database
from tests.support.run_command import Run, running
from tests.support.running_server import database_url

FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MILLISECONDS = 30_000
PASSWORD = "correct horse battery staple"

OpenBrowser = Callable[..., Page]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all tests of a worker. Playwright keeps an event loop in the test's own thread."""
    program = find_chromium()
    assert program, "there is no Chromium: make test-browser says what to do"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # nothing else runs in that loop while a test works
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
            yield browser
            browser.close()


@pytest.fixture(scope="session")
def other_origin() -> Iterator[OtherOrigin]:
    """A web server beside the service, whose pages may call it."""
    with serving_pages() as origin:
        yield origin


@pytest.fixture(scope="session")
def shared_site(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
    other_origin: OtherOrigin,
) -> Iterator[Run]:
    environment = {
        "DATABASE_URL": database_url(),
        "CHATAPI_SECRET_KEY": settings.SECRET_KEY,  # tests look into sessions
        "CHATAPI_SIGN_UP": "open",
        "CHATAPI_MAIL_IN_LOG": "1",
        "CHATAPI_CORS_ORIGINS": other_origin.url,
    }
    with django_db_blocker.unblock(), running(tmp_path_factory.mktemp("site"), **environment) as run:
        assert run.url
        empty_database()  # the first start made an account
        yield run
        run.stop()


@pytest.fixture
def site(transactional_db: None, shared_site: Run) -> Iterator[Run]:
    """`manage.py run`. Request it before `alice`, whose rows it sees only once they are committed."""
    known = len(shared_site.errors)
    yield shared_site
    assert not [line for line in shared_site.errors[known:] if "Traceback" in line], shared_site.error_output


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """What the browser complains about; the test fails because of it unless it says what it expects."""
    noted = Complaints()
    yield noted
    noted.check()


@pytest.fixture
def open_browser(chromium: Browser, site: Run, complaints: Complaints) -> Iterator[OpenBrowser]:
    """A function that opens a fresh browser, which has no cookies, and returns its empty page.

    Its options are those of Playwright's `new_context`. Addresses of the site are written like `/docs`. It is
    called `localhost`, since no address can be the name of a passkey's site.
    """
    contexts = []

    def open_page(**options: Any) -> Page:
        context = chromium.new_context(**{"base_url": site.url, **options})
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        complaints.watch(page)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_browser: OpenBrowser) -> Page:
    """The page of a fresh browser."""
    return open_browser()


@pytest.fixture
def mailbox(site: Run) -> Mailbox:
    """The mails that the service sends while the test works: there is no mail server, so its log has them."""
    return Mailbox(site)


@pytest.fixture
def operator(site: Run) -> User:
    """A superuser whose password is PASSWORD."""
    return with_password(User.objects.create_superuser("root@example.com"))


@pytest.fixture
def member(site: Run) -> User:
    """A user who is no staff, and whose password is PASSWORD."""
    user = with_password(User.objects.create_user("alice@example.com"))
    personal_workspace(user)
    return user


def with_password(user: User) -> User:
    """Let the user sign in with PASSWORD."""
    # as the server would: the settings of this process are those of tests
    user.password = _hashed_password()
    user.save()
    verify_address(user)
    return user


@cache
def _hashed_password() -> str:
    return make_password(PASSWORD, hasher=PasswordHasher())
