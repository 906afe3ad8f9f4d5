"""The fixtures and pytest hooks that all tests share."""

import gc
from collections.abc import Generator, Iterator

import pytest
from _pytest.nodeid import NodeId
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings
from pytest_django.plugin import DjangoDbBlocker

from accounts.keys.uses import key_uses, record_times
from billing.prices import clear_price_cache
from tests.support.call_log import CallLog, logged_calls
from tests.support.database_reset import empty_database
from tests.support.people import Person, person
from tests.support.running_server import Server, running_daphne, serving

# neither imports nor tests leave much garbage: looking for it after each 700 objects took 4 % of the time
gc.set_threshold(50_000, 20, 50)

# The same examples in each run, however slow the machine is; more of them in `make test-long`, by the profile
# `thorough` and `examples` (tests/support/examples.py). --hypothesis-profile=search looks for others.
settings.register_profile(
    "search", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("search"), max_examples=100, derandomize=True)
settings.register_profile("repeatable", settings.get_profile("thorough"), max_examples=25)
settings.load_profile("repeatable")

TOUCHES_THE_DATABASE = {"db", "transactional_db", "django_db_setup"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that touch the database (pytest-django forbids it to all others), and set the groups."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if TOUCHES_THE_DATABASE.intersection(fixtures) or item.get_closest_marker("django_db"):
            item.add_marker("database")
        group = item.get_closest_marker("xdist_group")
        if group and config.getoption("loadgroup", False):
            # pytest-xdist 3.8 puts the group where pytest 9.2 no longer looks (pytest-dev/pytest-xdist#1386),
            # which made each worker load all models
            item._id = NodeId.parse(f"{item.nodeid}@{group.args[0]}")


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Run one worker more than there are processors: on two, 267 s instead of 316.

    Each waits for servers, timers and processes a fifth of its time.
    """
    return (yield) + 1


def pytest_collection_finish() -> None:
    """Spare the garbage collector all that was imported and collected: a twentieth of the tests' time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    """Empty the database quickly after a test that committed its rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: empty_database())
        yield


@pytest.fixture(autouse=True)
def prices_of_this_test() -> None:
    """Forget the cached prices: the previous test's are gone with its database."""
    clear_price_cache()


@pytest.fixture(autouse=True)
def no_times_of_key_uses() -> Iterator[None]:
    """Write nothing of when keys are used: nearly every test uses a new one, and the writer is a thread."""
    key_uses.write_times = lambda _: None
    yield
    key_uses.write_times = lambda _: None


@pytest.fixture
def times_of_key_uses(transactional_db: None, no_times_of_key_uses: None) -> None:
    """Write them."""
    key_uses.write_times = record_times


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Iterator[CallLog]:
    """Record what becomes of calls, in the database and the log. Request it after the server."""
    with logged_calls() as log:
        request.getfixturevalue("settings").CHATAPI_REQUESTS_KEPT_DAYS = 14
        yield log


@pytest.fixture(autouse=True)
def real_recognition(request: pytest.FixtureRequest) -> None:
    """Let the tests marked speech_model recognize what is said."""
    if request.node.get_closest_marker("speech_model"):
        request.getfixturevalue("settings").CHATAPI_RECOGNIZER = "media.transcription.recognize"


@pytest.fixture
def alice(db: None) -> Person:
    return person("alice@example.com")


@pytest.fixture
def bob(alice: Person) -> Person:
    """A teammate: a member of Alice's workspace, with a key of his own."""
    return person("bob@example.com", alice.workspace)


@pytest.fixture
def charlie(db: None) -> Person:
    """A stranger."""
    return person("charlie@example.com")


@pytest.fixture(scope="session")
def shared_server(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Server]:
    with django_db_blocker.unblock(), serving() as server:
        yield server


@pytest.fixture
def server(transactional_db: None, shared_server: Server) -> Iterator[Server]:
    """The service on loopback. Request it before `alice`, whose rows it sees only once they are committed."""
    yield shared_server
    shared_server.until_idle()


@pytest.fixture(scope="session")
def shared_daphne(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), running_daphne() as url:
        yield url


@pytest.fixture
def daphne_url(transactional_db: None, shared_daphne: str) -> str:
    """The URL of `manage.py runserver`, which runs on Daphne, on the tests' own database.

    Put what requests it into the group `daphne`, so that only one worker starts it.
    """
    return shared_daphne
