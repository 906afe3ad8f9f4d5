"""What every test may ask for."""

from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.people import Person, person
from tests.serving import Server, serving


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
def _server(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Server]:
    with django_db_blocker.unblock(), serving() as server:
        yield server


@pytest.fixture
def server(transactional_db: None, _server: Server) -> Iterator[Server]:
    """The service on loopback. Ask for it before `alice`: its rows must be committed to be seen."""
    yield _server
    _server.until_idle()
