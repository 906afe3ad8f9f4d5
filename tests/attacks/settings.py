"""The product's settings for the server that is attacked. Only speech is recognized by a stand-in."""

from chatapi.settings import *  # noqa: F403

CHATAPI_RECOGNIZER = "tests.support.fake_recognizer.recognize"
