"""What every test may ask for."""

import pytest

from tests.people import Person, person


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
