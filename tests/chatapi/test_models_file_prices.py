"""Prices in the models file: read exactly, refused if they are wrong, and reported if they are missing."""

from decimal import Decimal
from pathlib import Path

import pytest
from django.core.checks import CheckMessage, run_checks
from django.utils import timezone
from pytest_django import Settings

from billing.prices import add_declared_prices, add_price, current_tariffs
from billing.units import Units
from chatapi.completions.declared_prices import declared_prices
from chatapi.model_loading import read_models
from engines.models_file import ModelsFileError
from engines.served_models import current_registry, reset_registry

UPSTREAM = '[[models]]\nid = "m"\nengine = "openai_compatible"\nbase_url = "http://127.0.0.1:9/v1"\n'
SPEAKING = UPSTREAM + 'output_modalities = ["text", "audio"]\n'


@pytest.fixture
def models_file(settings: Settings, tmp_path: Path) -> Path:
    settings.CHATAPI_MODELS_FILE = tmp_path / "models.toml"
    path: Path = settings.CHATAPI_MODELS_FILE
    return path


def complaint(id: str, databases: list[str] | None = None) -> CheckMessage | None:
    found = [message for message in run_checks(databases=databases) if message.id == id]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize(
    ("price", "pico"),
    [
        ("{ prompt = 2.5, completion = 10 }", {"prompt": 2_500_000, "completion": 10_000_000}),
        ('{ prompt = "0.000001", completion = 0 }', {"prompt": 1, "completion": 0}),
        ("{ prompt = 0.1, completion = 1e3 }", {"prompt": 100_000, "completion": 10**9}),
        (
            "{ prompt = 1, completion = 1, images = 0.003, seconds = 0.0001, characters = 15 }",
            {
                "prompt": 10**6,
                "completion": 10**6,
                "images": 3 * 10**9,
                "seconds": 10**8,
                "characters": 15 * 10**6,
            },
        ),
    ],
)
def test_a_price_is_kept_as_it_is_written(price: str, pico: dict[str, int], models_file: Path) -> None:
    models_file.write_text(UPSTREAM + f"price = {price}")

    assert declared_prices(read_models(models_file)) == {"m": pico}


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ('"fre"', "price"),
        ("true", "price"),
        ("2.5", "price"),
        ("{}", "names a unit"),
        ("{ prompts = 1, completion = 1 }", "no unit 'prompts'"),
        ("{ prompt = -1, completion = 1 }", "prompt tokens: A price is not negative"),
        ('{ prompt = "cheap", completion = 1 }', "prompt tokens: 'cheap' is no decimal number of USD"),
        ('{ prompt = "1e5", completion = 1 }', "prompt tokens: '1e5' is no decimal number of USD"),
        ('{ prompt = 1, completion = "5 EUR" }', "completion tokens: '5 EUR' is no decimal number of USD"),
        ("{ prompt = 1, completion = true }", "completion tokens: 'True' is no decimal number of USD"),
        ("{ prompt = 1, completion = [1] }", "completion tokens: '[1]' is no decimal number of USD"),
        ("{ prompt = 1, completion = { a = 1 } }", "completion tokens"),
        ("{ prompt = 1, completion = 2026-01-01 }", "completion tokens"),
        ("{ prompt = nan, completion = 1 }", "prompt tokens: 'NaN' is no decimal number of USD"),
        ("{ prompt = inf, completion = 1 }", "prompt tokens: 'Infinity' is no decimal number of USD"),
        ("{ prompt = 0.0000001, completion = 1 }", "prompt tokens: 1E-7 USD for 1000000 is no whole number"),
        ("{ prompt = 1e300, completion = 1 }", "prompt tokens"),
        ("{ prompt = 1e9999999, completion = 1 }", "prompt tokens"),
        ("{ prompt = 1e-9999999, completion = 1 }", "prompt tokens"),
        (f"{{ prompt = 0.1{'0' * 100}1, completion = 1 }}", "prompt tokens"),
        ("{ prompt = 1, completion = 1, images = 1001 }", "images: 1001 USD for 1 is more than 1000 USD"),
        ("{ prompt = 1 }", "lacks completion (completion tokens)"),
        ("{ completion = 1 }", "lacks prompt (prompt tokens)"),
    ],
)
def test_a_wrong_price_is_refused_naming_file_model_and_unit(
    price: str, reason: str, models_file: Path, settings: Settings
) -> None:
    models_file.write_text(UPSTREAM + f"price = {price}")

    with pytest.raises(ModelsFileError, match=r"models\.toml") as refused:
        read_models(models_file)
    assert reason in str(refused.value)
    if "prompt" in price or "completion" in price:
        assert "'m'" in str(refused.value)

    found = complaint("chatapi.E001")
    assert found
    assert reason in found.msg


def test_nothing_is_served_at_a_wrong_price(models_file: Path) -> None:
    models_file.write_text(UPSTREAM + "price = { prompt = -1 }")
    reset_registry()
    try:
        with pytest.raises(ModelsFileError, match="not negative"):
            current_registry()
    finally:
        reset_registry()


def test_a_speaking_model_must_say_what_sound_costs(models_file: Path) -> None:
    models_file.write_text(SPEAKING + "price = { prompt = 1, completion = 2 }")
    with pytest.raises(ModelsFileError, match=r"lacks audio_out \(audio tokens out\); audio_out = 0 if"):
        read_models(models_file)

    models_file.write_text(SPEAKING + "price = { prompt = 1, completion = 2, audio_out = 0 }")
    [spec] = read_models(models_file)
    assert spec.price == {"prompt": 1, "completion": 2, "audio_out": 0}


@pytest.mark.django_db
def test_units_that_are_left_out_cost_what_their_fallback_costs(models_file: Path) -> None:
    models_file.write_text(
        UPSTREAM + 'input_modalities = ["text", "audio"]\nprice = { prompt = 1, completion = 2 }'
    )
    add_declared_prices(declared_prices(read_models(models_file)))
    tariff = current_tariffs(["m"], timezone.now())["m"]

    costs = {
        name: tariff.cost(Units(**{name: 1000}))
        for name in ("prompt", "cached", "audio_in", "completion", "reasoning", "audio_out", "images")
    }

    assert costs == {
        "prompt": 1_000_000,
        "cached": 1_000_000,
        "audio_in": 1_000_000,
        "completion": 2_000_000,
        "reasoning": 2_000_000,
        "audio_out": 0,
        "images": 0,
    }


@pytest.mark.django_db
def test_the_price_book_follows_the_file_and_free_is_explicit(models_file: Path) -> None:
    models_file.write_text(UPSTREAM + 'price = "free"\n[[models]]\nid = "here"\nengine = "scripted"')

    assert declared_prices(read_models(models_file)) == {"m": "free", "here": "free"}
    assert len(add_declared_prices(declared_prices(read_models(models_file)))) == 2
    assert add_declared_prices(declared_prices(read_models(models_file))) == []


def test_decimals_are_never_floats(models_file: Path) -> None:
    models_file.write_text(UPSTREAM + "price = { prompt = 0.1, completion = 0.3 }")
    [spec] = read_models(models_file)
    assert spec.price == {"prompt": Decimal("0.1"), "completion": Decimal("0.3")}


# --- what the system checks say -------------------------------------------------------------------


def test_a_model_without_a_price_is_reported_with_what_happens_to_its_calls(
    models_file: Path, settings: Settings
) -> None:
    models_file.write_text(UPSTREAM)

    found = complaint("chatapi.W005")
    assert found
    assert found.msg.startswith("Without a price in the models file: 'm'. ")
    assert "are refused" in found.msg
    assert "import_prices" in (found.hint or "")

    settings.CHATAPI_UNPRICED = "record"
    found = complaint("chatapi.W005")
    assert found
    assert "recorded as unpriced, and not billed" in found.msg


def test_many_models_without_a_price_are_one_warning(models_file: Path) -> None:
    models_file.write_text("".join(UPSTREAM.replace('"m"', f'"m{number}"') for number in range(7)))

    found = complaint("chatapi.W005")

    assert found
    assert "'m0', 'm1', 'm2', 'm3', 'm4' and 2 others" in found.msg


@pytest.mark.parametrize("price", ['price = "free"', "price = { prompt = 1, completion = 1 }"])
def test_a_price_in_the_file_is_enough(price: str, models_file: Path) -> None:
    models_file.write_text(UPSTREAM + price)
    assert complaint("chatapi.W005") is None


@pytest.mark.django_db
def test_a_price_in_the_book_is_enough_if_the_database_is_checked(models_file: Path) -> None:
    models_file.write_text(UPSTREAM)
    assert complaint("chatapi.W005", ["default"])

    add_price("m", {0: {"prompt": 1, "completion": 1}})

    assert complaint("chatapi.W005", ["default"]) is None
    assert complaint("chatapi.W006", ["default"])
    assert complaint("chatapi.W005")


@pytest.mark.parametrize("bound", ["max_output_tokens = 100", "context_length = 1000"])
def test_a_priced_model_without_bounds_is_reported(bound: str, models_file: Path) -> None:
    priced = UPSTREAM + "price = { prompt = 1, completion = 1 }\n"
    models_file.write_text(priced)

    found = complaint("chatapi.W006")
    assert found
    assert "'m'" in found.msg
    assert "16,384 tokens" in found.msg

    models_file.write_text(priced + bound)
    assert complaint("chatapi.W006") is None


def test_a_free_model_needs_no_bounds(models_file: Path) -> None:
    models_file.write_text(UPSTREAM + 'price = "free"')
    assert complaint("chatapi.W006") is None
