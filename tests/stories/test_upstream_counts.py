"""What an upstream says that it counted is money. What it cannot mean is counted here instead."""

from collections.abc import Iterator
from typing import Any

import pytest

from chatapi.billing.models import Charge
from chatapi.billing.prices import add_price
from chatapi.billing.tariffs import rates_of
from conversations.models import Completion
from tests.billing.money import PROMPT, REASONING, books_add_up, give
from tests.engines.fake_upstream import FakeUpstream, whole
from tests.people import Person
from tests.serving import PATHS, Server, said
from tests.stories.media_service import upstream_model

USD = 10**9
MODEL = "counted-elsewhere"
CACHED = PROMPT // 2


@pytest.fixture
def upstream(server: Server) -> Iterator[FakeUpstream]:
    """Of a priced model with a context of 1,000 tokens."""
    with upstream_model(server, MODEL, context_length=1000, max_output_tokens=100) as upstream:
        add_price(MODEL, {0: rates_of({"prompt": 1, "cached": "0.5", "completion": 10, "reasoning": 20})})
        yield upstream
    books_add_up()


def billed(
    server: Server, who: Person, upstream: FakeUpstream, usage: Any, **more: Any
) -> tuple[dict[str, Any], Charge]:
    """What an answer of four tokens to a prompt of six says that it used, and what was billed for it."""
    give(who, USD)
    upstream.will(whole({"role": "assistant", "content": "Sixteen letters."}, usage=usage))
    with server.client(who) as client:
        answer = client.post(PATHS["openai"], json=said("Yes or no?", model=MODEL, **more))
    assert answer.status_code == 200, answer.text
    server.until_idle()
    completion, charge = Completion.objects.get(), Charge.objects.get()
    assert completion.usage_estimated == charge.is_estimated
    return answer.json()["usage"], charge


def test_what_is_shown_is_what_was_billed(server: Server, alice: Person, upstream: FakeUpstream) -> None:
    usage, charge = billed(
        server,
        alice,
        upstream,
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 50},
            "completion_tokens_details": {"reasoning_tokens": 99},
        },
    )
    assert usage["prompt_tokens_details"]["cached_tokens"] == charge.cached == 10
    assert usage["completion_tokens_details"]["reasoning_tokens"] == charge.reasoning == 5
    assert charge.cost == 10 * CACHED + 5 * REASONING
    assert not charge.is_estimated
