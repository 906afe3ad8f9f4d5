"""Fixtures that several stories share."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.support import fake_recognizer
from tests.support.fake_recognizer import FakeRecognizer


@pytest.fixture
def recognizer(settings: Settings) -> Iterator[FakeRecognizer]:
    """The recognizer of a test that says what is heard, or when."""
    settings.CHATAPI_RECOGNIZER = f"{fake_recognizer.__name__}.recognize"
    yield fake_recognizer.recognize
    fake_recognizer.recognize.reset()
