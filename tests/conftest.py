"""What every test may ask for."""

from collections.abc import Iterator

import pytest
from _pytest.nodeid import NodeId
from django.test import TransactionTestCase
from pytest_django.plugin import DjangoDbBlocker

from billing.prices import forget_prices
from tests.support.database_reset import empty_database
from tests.support.people import Person, person
from tests.support.running_server import Server, running_daphne, serving

TOUCHES_THE_DATABASE = {"db", "transactional_db", "django_db_setup"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what touches the database, which pytest-django forbids to all others, and tells the groups."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if TOUCHES_THE_DATABASE.intersection(fixtures) or item.get_closest_marker("django_db"):
            item.add_marker("database")
        group = item.get_closest_marker("xdist_group")
        if group and config.getoption("loadgroup", False):
            # pytest-xdist 3.8 tells it where pytest 9.2 looks no more (pytest-dev/pytest-xdist#1386), so that
            # each worker loaded all models
            item._id = NodeId.parse(f"{item.nodeid}@{group.args[0]}")


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    """After a test whose rows were committed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: empty_database())
        yield


@pytest.fixture(autouse=True)
def prices_of_this_test() -> None:
    """What the test before had priced is gone with its database."""
    forget_prices()


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
    """The service on loopback. Ask for it before `alice`: its rows must be committed to be seen."""
    yield shared_server
    shared_server.until_idle()


@pytest.fixture
def daphne_url(transactional_db: None) -> Iterator[str]:
    """`manage.py runserver`, which Daphne drives, on the test's own database."""
    with running_daphne() as url:
        yield url
