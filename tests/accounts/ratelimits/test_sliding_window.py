"""The arithmetic of sliding windows."""

from hypothesis import given
from hypothesis import strategies as st

from accounts.ratelimits.sliding_window import SlidingWindow


def after(window: SlidingWindow, seconds: float) -> SlidingWindow:
    """Return the window `seconds` later, with nothing more taken."""
    if seconds < window.remainder:
        return window._replace(
            previous_ttl=max(0.0, window.previous_ttl - seconds), current_ttl=window.current_ttl - seconds
        )
    rest = max(0.0, 60 - (seconds - window.remainder))
    return SlidingWindow(window.current, rest, 0, 0)


counts, seconds = st.integers(0, 3_000), st.floats(0, 60, exclude_min=True)


@given(counts, counts, seconds, st.integers(0, 5_000))
def test_the_reported_wait_is_long_enough_and_hardly_longer_than_needed(
    previous: int, current: int, remainder: float, limit: int
) -> None:
    window = SlidingWindow(previous, remainder, current, remainder + 60)
    wait = window.seconds_until(limit)
    assert after(window, wait + 0.001).used <= limit
    assert wait == 0 or after(window, wait - 0.001).used > limit


def test_an_empty_window_needs_no_wait() -> None:
    assert (SlidingWindow().used, SlidingWindow().seconds_until(0)) == (0, 0)
