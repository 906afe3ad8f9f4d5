"""The admin's price book: shows which prices are in force, and adds the next ones."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts.admin.action_page import ActionResult, AdminAction, Values, action_page, post_data
from billing.admin.formatting import format_to_second, no_wrap
from billing.admin.money_admin import MoneyAdmin
from billing.models import Price, Rate
from billing.money import format_rate, usd_to_pico_rate
from billing.prices import add_price
from billing.tariffs import unpriced_units
from billing.units import UNITS
from core.admin import FixedFilter
from core.money import InvalidAmount
from engines.model_spec import ModelSpec
from engines.models_file import ModelsFileError
from engines.served_models import current_registry

CURRENT, SCHEDULED, SUPERSEDED = "current", "scheduled", "superseded"


def _specs() -> dict[str, ModelSpec]:
    try:
        return {spec.id: spec for spec in current_registry()}
    except ModelsFileError:
        return {}


class ModelInput(AdminTextInputWidget):
    """A text input that suggests the models without a price in the models file."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        field = super().render(name, value, {**(attrs or {}), "list": "models"}, renderer)
        models = [(spec.id,) for spec in _specs().values() if not spec.is_local and spec.price is None]
        options = format_html_join("", '<option value="{}">', models)
        return mark_safe(f'{field}<datalist id="models">{options}</datalist>')  # noqa: S308 (escaped above)


class PriceForm(forms.Form):
    """A new version of a price, in the same units and per-unit quantities as everywhere else."""

    model = forms.CharField(max_length=200, widget=ModelInput(), help_text="As clients name it.")
    starts_at = forms.DateTimeField(
        label="Begins (UTC)",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty: now. It cannot be changed or withdrawn, and no other can begin before it.",
    )
    is_free = forms.BooleanField(label="Free", required=False, help_text="On purpose: then write no rates.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for unit in UNITS.values():
            self.fields[unit.name] = forms.CharField(
                label=unit.label.capitalize(),
                required=False,
                widget=AdminTextInputWidget(
                    attrs={"inputmode": "decimal", "autocomplete": "off", "size": 20}
                ),
                help_text=f"USD {_quantity_text(unit.name)}. {_fallback_hint(unit.fallback)}",
            )

    def clean(self) -> Values:
        values = super().clean() or {}
        rates = {name: pico for name in UNITS if (pico := self._rate(name, values.get(name))) is not None}
        written = [name for name in UNITS if values.get(name)]
        if values.get("is_free") and written:
            self.add_error("is_free", "A price is free, or has rates.")
        elif not values.get("is_free"):
            self._check_rates(values.get("model", ""), rates, written)
        values["tiers"] = None if values.get("is_free") else {0: rates}
        return values

    def clean_model(self) -> str:
        model = str(self.cleaned_data["model"])
        spec = _specs().get(model)
        if spec is not None and (spec.is_local or spec.price is not None):
            raise forms.ValidationError(
                "What this model costs is said by the models file alone: it is free there, or has a price."
            )
        return model

    def _rate(self, name: str, written: str | None) -> int | None:
        if not written:
            return None
        try:
            return usd_to_pico_rate(written, UNITS[name].per)
        except InvalidAmount as problem:
            self.add_error(name, str(problem))
            return None

    def _check_rates(self, model: str, rates: dict[str, int], written: list[str]) -> None:
        if not written:
            self.add_error(None, "A price names a rate at least, or is free.")
            return
        spec = _specs().get(model)
        for name in unpriced_units(spec.output_modalities, written) if spec else ():
            self.add_error(name, "This model needs it: what is left out costs nothing. Write 0 for that.")


def _quantity_text(unit: str) -> str:
    return f"for {UNITS[unit].per:,}" if UNITS[unit].per > 1 else "for each"


def _fallback_hint(unit: str | None) -> str:
    return f"Empty: as {UNITS[unit].label}." if unit else ""


class StateFilter(FixedFilter):
    title = parameter_name = "state"
    values = (CURRENT, SCHEDULED, SUPERSEDED)

    def filter_rows(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        match value:
            case "current":
                return rows.filter(starts_at__lte=timezone.now(), _is_superseded=False)
            case "scheduled":
                return rows.filter(starts_at__gt=timezone.now())
            case "superseded":
                return rows.filter(_is_superseded=True)
            case _:
                return rows


@admin.register(Price)
class PriceAdmin(MoneyAdmin):
    list_display = ("model", "state", "begins", "in_short", "source", "created_at")
    list_filter = (StateFilter, "is_free", "starts_at")
    search_help_text = "Model, source, or id"
    id_fields = ("pk",)
    text_lookups = ("model__icontains", "source__icontains")
    ordering = ("model", "-starts_at")
    fields = ("model", "state", "starts_at", "rates_of", "source", "created_at", "id")
    can_add = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        newer = Price.objects.filter(
            model=OuterRef("model"), starts_at__gt=OuterRef("starts_at"), starts_at__lte=timezone.now()
        )
        prices: QuerySet[Price] = super().get_queryset(request)
        return prices.annotate(_is_superseded=Exists(newer)).prefetch_related("rates")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        def do(values: Values, by: str) -> ActionResult:
            model, starts_at = values["model"], values["starts_at"]
            price = add_price(model, values["tiers"], starts_at=starts_at, source=f"admin: {by}"[:200])
            unknown = "" if model in _specs() else f"The models file has no model {model!r}."
            return ActionResult(price, _describe_new_price(price, starts_at), warning=unknown)

        note = "What was admitted before a price begins is billed at the price of its time."
        form = PriceForm(post_data(request))
        return action_page(self, request, AdminAction("Add a price", "Add", form, do, adds=True, note=note))

    @admin.display(description="state")
    def state(self, price: Price) -> str:
        if price.starts_at > timezone.now():
            return SCHEDULED
        return SUPERSEDED if getattr(price, "_is_superseded") else CURRENT  # noqa: B009 (an annotation)

    @admin.display(description="starts at", ordering="starts_at")
    def begins(self, price: Price) -> str:
        return format_to_second(price.starts_at)

    @admin.display(description="rates, USD")
    def in_short(self, price: Price) -> str:
        """Show one line per tier."""
        if price.is_free:
            return "free"
        tiers: dict[int, list[str]] = {}
        for rate in _in_order(price):
            text = f"{rate.unit} {format_rate(rate.pico_usd, UNITS[rate.unit].per)}"
            tiers.setdefault(rate.from_prompt_tokens, []).append(text)
        lines = (
            (no_wrap((f"from {start:,}: " if start else "") + " · ".join(texts)),)
            for start, texts in tiers.items()
        )
        return format_html_join(mark_safe("<br>"), "{}", lines)

    @admin.display(description="rates")
    def rates_of(self, price: Price) -> str:
        if price.is_free:
            return "free"
        lines = (
            (
                UNITS[rate.unit].label,
                format_rate(rate.pico_usd, UNITS[rate.unit].per),
                _quantity_text(rate.unit),
                f", from {rate.from_prompt_tokens:,} prompt tokens on" if rate.from_prompt_tokens else "",
            )
            for rate in _in_order(price)
        )
        return format_html_join(mark_safe("<br>"), "{}: {} USD {}{}", lines)


def _in_order(price: Price) -> list[Rate]:
    order = list(UNITS)
    return sorted(price.rates.all(), key=lambda rate: (rate.from_prompt_tokens, order.index(rate.unit)))


def _describe_new_price(price: Price, starts_at: datetime | None) -> str:
    since = f"From {starts_at:%Y-%m-%d %H:%M} UTC on" if starts_at else "From now on"
    return f"{since} {price.model} {'is free' if price.is_free else 'has a new price'}."
