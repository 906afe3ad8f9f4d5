"""`manage.py import_prices` imports what the genai-prices package says exactly, or refuses with a reason."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from genai_prices import Usage, __version__
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from pytest_django import Settings

from billing.exceptions import InvalidPrice
from billing.genai_prices import (
    PackagePrice,
    PriceLookup,
    find_package_price,
    import_missing_versions,
    missing_versions,
)
from billing.models import Price
from billing.prices import add_price, current_tariffs
from billing.tariffs import Tariff
from billing.units import Units
from core.ids import new_id
from core.money import NANO_PER_USD
from engines.served_models import reset_registry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN = ModelPrice(input_mtok=Decimal("2.5"), output_mtok=Decimal(10))
MODEL = '[[models]]\nid = "{id}"\nengine = "openai_compatible"\nbase_url = "{url}"\n'
HOUSE, ELSEWHERE = "https://api.house.example/v1", "http://127.0.0.1:9/v1"


@pytest.fixture
def house() -> Iterator[Provider]:
    """A genai-prices snapshot with one provider, to which each test adds models."""
    provider = Provider(
        "house", "House", r"https://api\.house\.example", model_match=ClauseEquals("known by its name")
    )
    set_custom_snapshot(DataSnapshot([provider], from_auto_update=False))
    yield provider
    set_custom_snapshot(None)


def add_model(house: Provider, name: str, prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    model = ModelInfo(name, ClauseEquals(name), prices=prices)
    house.models.append(model)
    return model


def lookup(
    reference: str = "m", *, hears: bool = False, sees: bool = False, speaks: bool = False
) -> PriceLookup:
    return PriceLookup("mine", reference, "house", hears=hears, sees=sees, speaks=speaks)


@pytest.fixture
def models_file(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    settings.CHATAPI_MODELS_FILE = tmp_path / "models.toml"
    reset_registry()
    yield settings.CHATAPI_MODELS_FILE
    reset_registry()


def import_prices(*arguments: str) -> str:
    output = StringIO()
    call_command("import_prices", *arguments, stdout=output)
    return output.getvalue()


def failed_import(*arguments: str) -> tuple[str, CommandError]:
    output = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("import_prices", *arguments, stdout=output)
    return output.getvalue(), failure.value


def tariff_in(offer: PackagePrice) -> Tariff:
    return Tariff(new_id(), "mine", NOW, False, offer.versions[0][1])


# --- exact imports ---------------------------------------------------------------------------------


def test_units_are_translated(house: Provider) -> None:
    price = ModelPrice(
        input_mtok=Decimal("2.5"),
        cache_read_mtok=Decimal("0.25"),
        input_audio_mtok=Decimal(40),
        output_mtok=Decimal(10),
        output_reasoning_mtok=Decimal(12),
        output_audio_mtok=Decimal(80),
    )
    add_model(house, "m", price)

    offer = find_package_price(lookup(), NOW)

    assert offer.name == "house/m"
    assert offer.remarks == []
    assert offer.versions == [
        (
            None,
            {
                0: {
                    "prompt": 2_500_000,
                    "cached": 250_000,
                    "audio_in": 40_000_000,
                    "completion": 10_000_000,
                    "reasoning": 12_000_000,
                    "audio_out": 80_000_000,
                }
            },
        )
    ]


def test_their_tiers_begin_above_the_start_and_ours_at_it(house: Provider) -> None:
    price = ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [Tier(200_000, Decimal(2)), Tier(400_000, Decimal(3))]),
        output_mtok=TieredPrices(Decimal(10), [Tier(200_000, Decimal(15))]),
        cache_read_mtok=Decimal("0.1"),
    )
    add_model(house, "m", price)

    tariff = tariff_in(find_package_price(lookup(), NOW))

    assert tariff.tiers == {
        0: {"prompt": 10**6, "completion": 10**7, "cached": 10**5},
        200_001: {"prompt": 2 * 10**6, "completion": 15 * 10**6},
        400_001: {"prompt": 3 * 10**6},
    }
    for prompt in (1, 199_999, 200_000, 200_001, 400_000, 400_001):
        usage = Usage(input_tokens=prompt, cache_read_tokens=1, output_tokens=7)
        theirs = price.calc_price(usage)["total_price"] * NANO_PER_USD
        assert tariff.cost(Units(prompt=prompt - 1, cached=1, completion=7)) == theirs


def test_every_imported_price_costs_what_the_package_says() -> None:
    """For anything a text model's calls may use, to the nano-USD, rounded up."""
    uses = [(1000, 0, 1, 0), (7, 3, 5, 2), (200_000, 199_999, 9, 0), (300_000, 1, 64_000, 63_999)]
    imported = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            try:
                reference = PriceLookup("mine", model.id, provider.id)
                offer = find_package_price(reference, timezone.now(), ["cache_write_mtok", "requests_kcount"])
            except InvalidPrice:
                continue
            found = provider.find_model(model.id)
            assert found
            imported += 1
            price = found.get_prices(timezone.now())
            mine = tariff_in(offer)
            for prompt, cached, completion, reasoning in uses:
                usage = Usage(
                    input_tokens=prompt,
                    cache_read_tokens=cached,
                    output_tokens=completion,
                    output_reasoning_tokens=reasoning,
                )
                theirs = price.calc_price(usage)
                cost = theirs["input_price"] + theirs["output_price"]
                units = Units(prompt - cached, cached, completion - reasoning, reasoning)
                expected = (cost * NANO_PER_USD).to_integral_value(ROUND_CEILING)
                assert mine.cost(units) == expected, (provider.id, model.id)
    assert imported > 1500


def test_a_speaking_model_bills_sound_like_text_unless_it_is_priced(house: Provider) -> None:
    add_model(house, "m", PLAIN)

    [(_, silent)] = find_package_price(lookup(), NOW).versions
    [(_, speaking)] = find_package_price(lookup(speaks=True), NOW).versions

    assert "audio_out" not in silent[0]
    assert speaking[0]["audio_out"] == speaking[0]["completion"] == 10**7


def test_announced_changes_are_scheduled(house: Provider) -> None:
    dearer = ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(12))
    older = ModelPrice(input_mtok=Decimal(9), output_mtok=Decimal(9))
    days = [
        ConditionalPrice(prices=older),
        ConditionalPrice(StartDateConstraint(date(2026, 2, 1)), prices=PLAIN),
        ConditionalPrice(StartDateConstraint(date(2026, 3, 15)), prices=PLAIN),
        ConditionalPrice(StartDateConstraint(date(2026, 4, 1)), prices=dearer),
    ]
    add_model(house, "m", days)

    assert find_package_price(lookup(), NOW).versions == [
        (None, {0: {"prompt": 2_500_000, "completion": 10**7}}),
        (datetime(2026, 4, 1, tzinfo=UTC), {0: {"prompt": 3_000_000, "completion": 12 * 10**6}}),
    ]


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"cache_write_mtok": Decimal(3)}, "written to a cache cost extra"),
        ({"requests_kcount": Decimal(12)}, "each request costs extra"),
        ({"output_citation_mtok": Decimal(2)}, "it prices output_citation_mtok"),
        ({"output_image_mtok": Decimal(30)}, "it prices output_image_mtok"),
        ({"some_new_mtok": Decimal(1)}, "it prices some_new_mtok"),
    ],
)
def test_fees_that_cannot_be_billed_here_are_refused_or_explicitly_left_out(
    more: dict[str, Decimal], reason: str, house: Provider
) -> None:
    add_model(house, "m", ModelPrice(**vars(PLAIN), **more))
    [kind] = more

    with pytest.raises(InvalidPrice, match=f"house/m: .*{reason}.* --leave-out {kind} imports"):
        find_package_price(lookup(), NOW)

    offer = find_package_price(lookup(), NOW, [kind])
    assert offer.versions == [(None, {0: {"prompt": 2_500_000, "completion": 10**7}})]
    assert offer.remarks == [f"Left out, and billed to nobody here: {kind}."]


@pytest.mark.parametrize(
    "more",
    [
        {"cache_write_mtok": Decimal("2.5")},
        {"output_citation_mtok": Decimal(10)},
        {"requests_kcount": Decimal(0)},
        {"cache_write_1h_mtok": Decimal(99)},
        {"storage_searches_kcount": Decimal(99)},
    ],
)
def test_fees_that_cost_the_same_or_are_never_incurred_are_ignored(
    more: dict[str, Decimal], house: Provider
) -> None:
    add_model(house, "m", ModelPrice(**vars(PLAIN), **more))
    assert find_package_price(lookup(), NOW).remarks == []


def test_a_model_that_caches_only_on_request_writes_nothing_to_its_cache(house: Provider) -> None:
    add_model(house, "claude-m", ModelPrice(**vars(PLAIN), cache_write_mtok=Decimal(3)))
    assert len(find_package_price(lookup("claude-m"), NOW).versions) == 1


def test_hearing_and_seeing_decide_whether_a_price_matters(house: Provider) -> None:
    add_model(house, "m", ModelPrice(**vars(PLAIN), audio_hours=Decimal(1)))
    add_model(house, "n", ModelPrice(**vars(PLAIN), input_image_mtok=Decimal(5)))

    assert find_package_price(lookup("m", sees=True), NOW)
    assert find_package_price(lookup("n", hears=True), NOW)
    with pytest.raises(InvalidPrice, match="audio_hours"):
        find_package_price(lookup("m", hears=True), NOW)
    with pytest.raises(InvalidPrice, match="input_image_mtok"):
        find_package_price(lookup("n", sees=True), NOW)


def test_prices_that_differ_at_night_are_refused(house: Provider) -> None:
    night = TimeOfDateConstraint(time(16, 30), time(0, 30))
    add_model(house, "m", [ConditionalPrice(prices=PLAIN), ConditionalPrice(night, prices=PLAIN)])

    with pytest.raises(InvalidPrice, match="other prices at other times of the day"):
        find_package_price(lookup(), NOW)


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (ModelPrice(), "it has no input_mtok"),
        (ModelPrice(input_mtok=Decimal(1)), "it has no output_mtok"),
        (
            ModelPrice(input_mtok=Decimal("0.18000000000000002"), output_mtok=Decimal(1)),
            "prompt tokens: 0.18000000000000002 USD for 1000000 is no whole number of pico-USD",
        ),
        (ModelPrice(input_mtok=Decimal(-1), output_mtok=Decimal(1)), "not negative"),
    ],
)
def test_incomplete_and_inexact_prices_are_refused(price: ModelPrice, reason: str, house: Provider) -> None:
    add_model(house, "m", price)
    with pytest.raises(InvalidPrice, match=reason):
        find_package_price(lookup(), NOW)


def test_what_is_billed_to_nobody_is_pointed_out(house: Provider) -> None:
    model = add_model(house, "m", ModelPrice(**vars(PLAIN), web_searches_kcount=Decimal(10)))
    model.price_variants = [
        PriceVariant({"service_tier": "priority"}, PLAIN),
        PriceVariant({"processing": "batch"}, PLAIN),
    ]

    assert find_package_price(lookup(), NOW).remarks == [
        "Billed to nobody here: web searches, which clients ask for by `web_search_options`.",
        "Billed at the standard rates here: service_tier=priority.",
    ]


# --- into the price book ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_second_run_adds_nothing(house: Provider) -> None:
    soon = StartDateConstraint((timezone.now() + timedelta(days=2)).date())
    dearer = ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(12))
    add_model(house, "m", [ConditionalPrice(prices=PLAIN), ConditionalPrice(soon, prices=dearer)])

    added = [
        import_missing_versions("mine", find_package_price(lookup(), timezone.now()), replace=False)
        for _ in range(2)
    ]

    assert added == [2, 0]
    assert [price.source for price in Price.objects.all()] == [f"genai-prices {__version__} house/m"] * 2


@pytest.mark.django_db
def test_a_price_set_by_hand_is_replaced_only_if_its_model_is_named(house: Provider) -> None:
    add_model(house, "m", PLAIN)
    add_price("mine", {0: {"prompt": 1, "completion": 1}}, source="rita@example.com")
    offer = find_package_price(lookup(), timezone.now())

    with pytest.raises(InvalidPrice, match=r"source: rita@example\.com.* Name the model"):
        import_missing_versions("mine", offer, replace=False)

    assert import_missing_versions("mine", offer, replace=True) == 1
    assert current_tariffs(["mine"], timezone.now())["mine"].tiers[0]["prompt"] == 2_500_000


@pytest.mark.django_db
def test_a_price_that_begins_later_prevents_the_import_and_nothing_is_added(house: Provider) -> None:
    add_model(house, "m", PLAIN)
    later = timezone.now() + timedelta(days=1)
    add_price("mine", None, starts_at=later, source="rita@example.com")

    with pytest.raises(InvalidPrice, match="a price is in the book that begins at"):
        missing_versions("mine", find_package_price(lookup(), timezone.now()), timezone.now(), replace=True)
    assert Price.objects.count() == 1


# --- the command -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_all_models_without_a_price_are_priced(house: Provider, models_file: Path) -> None:
    add_model(house, "m", PLAIN)
    add_model(house, "known by its name", PLAIN)
    models_file.write_text(
        MODEL.format(id="mine", url=HOUSE)
        + 'upstream_model = "M"\n'
        + MODEL.format(id="known by its name", url=ELSEWHERE)
        + MODEL.format(id="has-its-own", url=HOUSE)
        + 'price = "free"\n'
        + '[[models]]\nid = "here"\nengine = "scripted"\n'
    )

    shown = import_prices("--dry-run")
    assert "mine: would be added, from now on (house/m)\n    prompt 2.5, completion 10\n" in shown
    assert not Price.objects.exists()

    output = import_prices()
    assert "mine: added, from now on (house/m)" in output
    assert f"{ELSEWHERE} is no provider's address: found at House by the model's name." in output
    assert set(Price.objects.values_list("model", flat=True)) == {"mine", "known by its name"}

    assert "mine: the price book has it already (house/m)" in import_prices()
    assert Price.objects.count() == 2


@pytest.mark.django_db
def test_a_model_that_cannot_be_priced_does_not_hold_up_the_others(
    house: Provider, models_file: Path
) -> None:
    add_model(house, "m", PLAIN)
    add_model(house, "n", ModelPrice(**vars(PLAIN), requests_kcount=Decimal(12)))
    models_file.write_text("".join(MODEL.format(id=id, url=HOUSE) for id in ("n", "nobody", "m")))

    output, failure = failed_import()

    assert (str(failure), failure.returncode) == ("Not priced: n, nobody.", 1)
    assert "n: not imported: house/n: each request costs extra" in output
    assert "nobody: not imported: House has no model 'nobody' in genai-prices." in output
    assert [price.model for price in Price.objects.all()] == ["m"]
    assert "n: added" in import_prices("n", "--leave-out", "requests_kcount")


@pytest.mark.django_db
def test_a_model_is_mapped_by_hand(house: Provider, models_file: Path) -> None:
    add_model(house, "vendor/m", PLAIN)
    models_file.write_text(MODEL.format(id="mine", url=ELSEWHERE))

    output, _ = failed_import("mine")
    assert "No provider of genai-prices is known by the address" in output
    output, _ = failed_import("mine=nobody/m")
    assert "There is no provider 'nobody' in genai-prices." in output

    assert "mine: added, from now on (house/vendor/m)" in import_prices("mine=house/vendor/m")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nobody"], "There is no model 'nobody' in the models file."),
        (["nobody=house/m"], "There is no model 'nobody' in the models file."),
        (["=house/m"], "There is no model '' in the models file."),
        (["here=house/m"], "What 'here' costs is said by the models file alone"),
        (["mine="], "'mine=' names no model of the package."),
        (["mine", "--leave-out", "everything"], "--leave-out everything: not one of"),
        (["mine", "--leave-out", "input_mtok"], "--leave-out input_mtok: not one of"),
    ],
)
def test_wrong_arguments_change_nothing(
    arguments: list[str], reason: str, house: Provider, models_file: Path
) -> None:
    add_model(house, "mine", PLAIN)
    models_file.write_text(
        MODEL.format(id="mine", url=HOUSE) + '[[models]]\nid = "here"\nengine = "scripted"\n'
    )

    _, failure = failed_import(*arguments)

    assert reason in str(failure)
    assert failure.returncode == 2
    assert not Price.objects.exists()


@pytest.mark.django_db
def test_a_models_file_that_cannot_be_used(models_file: Path) -> None:
    _, failure = failed_import()
    assert "The models file cannot be used" in str(failure)
    assert failure.returncode == 2


@pytest.mark.django_db
def test_if_everything_is_priced_there_is_nothing_to_do(models_file: Path) -> None:
    models_file.write_text('[[models]]\nid = "here"\nengine = "scripted"\n')
    assert "Nothing to price" in import_prices()
