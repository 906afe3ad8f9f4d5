"""What a call takes from the limits of its key and of its workspace."""

import pytest

from accounts.principal import Principal
from accounts.ratelimits.allowance import Allowance, format_duration
from accounts.ratelimits.fallback_counters import FallbackCounters
from accounts.ratelimits.limits import Limits
from core.exceptions import RateLimited
from core.ids import new_id
from tests.support.clock import Clock, stopped_clock


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return stopped_clock(monkeypatch)


WORKSPACE, KEY = new_id(), new_id()


def principal(workspace: Limits, key: Limits | None = None) -> Principal:
    return Principal(WORKSPACE, 1, KEY, workspace, key or Limits())


async def remaining_after_one_more(counters: FallbackCounters, who: Principal, kind: str = "requests") -> int:
    """Count one more call and return what is left."""
    call = Allowance(counters, who)
    await (call.take_request() if kind == "requests" else call.take_tokens(lambda: 1))
    return int(call.headers[f"x-ratelimit-remaining-{kind}"])


async def test_what_the_workspace_refuses_costs_the_key_nothing() -> None:
    counters = FallbackCounters()
    who = principal(Limits(requests_per_minute=2), Limits(requests_per_minute=10))
    for _ in range(2):
        await Allowance(counters, who).take_request()
    for _ in range(5):
        with pytest.raises(RateLimited, match="for this workspace"):
            await Allowance(counters, who).take_request()
    assert await remaining_after_one_more(counters, principal(Limits(), Limits(requests_per_minute=10))) == 7


async def test_the_tighter_of_two_limits_is_reported() -> None:
    counters = FallbackCounters()
    key = Limits(requests_per_minute=5)
    assert await remaining_after_one_more(counters, principal(Limits(requests_per_minute=100), key)) == 4
    assert await remaining_after_one_more(counters, principal(Limits(requests_per_minute=3), key)) == 1


async def test_if_both_refuse_the_longer_wait_is_reported(clock: Clock) -> None:
    counters = FallbackCounters()
    key = Limits(requests_per_minute=1)
    clock.advance(30)
    for _ in range(5):
        await remaining_after_one_more(counters, principal(Limits(requests_per_minute=10)))
    await remaining_after_one_more(counters, principal(Limits(requests_per_minute=10), key))
    with pytest.raises(RateLimited) as refused:
        await Allowance(counters, principal(Limits(requests_per_minute=2), key)).take_request()
    assert "for this workspace" in refused.value.message
    assert "again in 1m10s" in refused.value.message


async def test_a_changed_limit_counts_what_was_taken_before() -> None:
    counters = FallbackCounters()
    assert await remaining_after_one_more(counters, principal(Limits(requests_per_minute=5))) == 4
    assert await remaining_after_one_more(counters, principal(Limits(requests_per_minute=3))) == 1


async def test_the_estimate_is_requested_only_if_there_is_a_limit() -> None:
    def no_estimate() -> int:
        raise AssertionError("it was asked for")

    call = Allowance(FallbackCounters(), principal(Limits(requests_per_minute=1)))
    await call.take_tokens(no_estimate)
    assert not call.holds_tokens


@pytest.mark.parametrize("used", [0, 40, 100, 250])
async def test_the_actual_use_is_counted_in_the_end(used: int) -> None:
    counters = FallbackCounters()
    who = principal(Limits(tokens_per_minute=1000), Limits(tokens_per_minute=500))
    call = Allowance(counters, who)
    await call.take_tokens(lambda: 100)
    await call.correct_tokens(used)
    await call.correct_tokens(0)  # only the first correction counts
    assert await remaining_after_one_more(counters, who, "tokens") == 500 - used - 1
    assert (
        await remaining_after_one_more(counters, principal(Limits(tokens_per_minute=1000)), "tokens")
        == 1000 - used - 2
    )


async def test_tokens_are_corrected_long_after_they_were_taken(clock: Clock) -> None:
    counters = FallbackCounters()
    who = principal(Limits(tokens_per_minute=1000))
    for seconds, expected in ((0, 899), (59, 899), (61, 901), (90, 949), (119, 998), (130, 999)):
        call = Allowance(counters, who)
        clock.advance(600 - clock.now % 60)
        await call.take_tokens(lambda: 1000)
        clock.advance(seconds)
        await call.correct_tokens(100)
        assert await remaining_after_one_more(counters, who, "tokens") == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.000_001, "1ms"),
        (0.012, "12ms"),
        (0.0121, "13ms"),
        (0.9991, "1s"),
        (1, "1s"),
        (7.2, "8s"),
        (59.5, "1m0s"),
        (90, "1m30s"),
        (119.2, "2m0s"),
    ],
)
def test_a_duration_is_written_as_openai_writes_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
