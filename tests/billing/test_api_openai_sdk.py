"""OpenAI's own client reads usage and costs, with a workspace key as its admin key."""

from collections.abc import Iterator

import openai
import pytest
from openai.types.admin.organization import UsageCompletionsResponse, UsageCostsResponse

from core.ids import KEY, format_id, format_user_id
from tests.support.billed_months import SHORT_COST, USD, create_wallet, day, key_of, post_call
from tests.support.openai_in_process import openai_client
from tests.support.people import Person


@pytest.fixture
def sdk(alice: Person) -> Iterator[openai.OpenAI]:
    create_wallet(alice)
    for number in (1, 5, 9):
        post_call(alice, day(number))
    with openai_client(admin_api_key=alice.key) as client:
        yield client


def seconds(number: int) -> int:
    return int(day(number, hour=0).timestamp())


def test_usage_page_by_page(sdk: openai.OpenAI, alice: Person) -> None:
    ask = sdk.admin.organization.usage.completions
    query = {"start_time": seconds(1), "end_time": seconds(11), "bucket_width": "1d", "limit": 6}

    first = ask(**query, group_by=["model", "user_id", "api_key_id"])  # type: ignore[arg-type]
    second = ask(**query, group_by=["model"], page=first.next_page or "")  # type: ignore[arg-type]

    assert [len(bucket.results) for bucket in first.data] == [1, 0, 0, 0, 1, 0]
    assert [len(bucket.results) for bucket in second.data] == [0, 0, 1, 0]
    assert (first.has_more, second.has_more, second.next_page) == (True, False, None)
    [used] = first.data[0].results
    assert used.object == "organization.usage.completions.result"
    assert (used.input_tokens, used.output_tokens, used.num_model_requests) == (3, 2, 1)
    assert (used.model, used.user_id) == ("gpt", format_user_id(alice.user.pk))
    assert used.api_key_id == format_id(KEY, key_of(alice))
    UsageCompletionsResponse.model_validate_json(first.model_dump_json(), strict=True)


def test_filters(sdk: openai.OpenAI, alice: Person) -> None:
    def buckets(**query: object) -> int:
        page = sdk.admin.organization.usage.completions(
            start_time=seconds(1),
            end_time=seconds(8),
            **query,  # type: ignore[arg-type]
        )
        return sum(len(bucket.results) for bucket in page.data)

    assert buckets(models=["gpt", "other"], user_ids=[format_user_id(alice.user.pk)], batch=False) == 2
    assert buckets(models=["other"]) == 0
    assert buckets(batch=True) == 0


def test_costs(sdk: openai.OpenAI) -> None:
    page = sdk.admin.organization.usage.costs(
        start_time=seconds(1), end_time=seconds(3), group_by=["line_item"], line_items=["gpt, completion"]
    )

    [cost] = page.data[0].results
    assert cost.object == "organization.costs.result"
    assert cost.amount
    assert (cost.amount.currency, cost.line_item) == ("usd", "gpt, completion")
    assert round((cost.amount.value or 0) * USD) == SHORT_COST
    UsageCostsResponse.model_validate_json(page.model_dump_json(), strict=True)


def test_an_endpoint_that_the_client_has_no_method_for(sdk: openai.OpenAI, alice: Person) -> None:
    with openai_client(api_key=alice.key) as client:
        balance = client.get("/billing/balance", cast_to=dict[str, object])

    assert balance["balance"] == "-0.000069"


def test_refusals_raise_the_clients_exceptions(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        sdk.admin.organization.usage.costs(start_time=5, end_time=4)
    with pytest.raises(openai.AuthenticationError):
        sdk.with_options(admin_api_key="sk-wrong").admin.organization.usage.costs(start_time=5)

    assert wrong.value.param == "end_time"
