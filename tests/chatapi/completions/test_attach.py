"""A request whose items carry files does not wait for them without end."""

from concurrent.futures import Future

import pytest

from chatapi.completions.attachments.attach import wait_until_attached
from core.exceptions import ApiError


def test_what_takes_too_long_is_refused_and_goes_on() -> None:
    attaching: Future[str] = Future()
    attaching.set_running_or_notify_cancel()

    with pytest.raises(ApiError) as refused:
        wait_until_attached(attaching, 0.01)

    assert (refused.value.status, refused.value.code) == (504, "media_timeout")
    attaching.set_result("stored")
    assert wait_until_attached(attaching, 0.01) == "stored"


def test_an_error_of_its_own_is_told_as_it_is() -> None:
    attaching: Future[str] = Future()
    attaching.set_exception(TimeoutError("of the database"))

    with pytest.raises(TimeoutError, match="of the database"):
        wait_until_attached(attaching, 0.01)
