"""Import prices of other servers' models from the installed genai-prices package."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from genai_prices import __version__
from genai_prices.data_units import unit_data

from billing import genai_prices
from billing.exceptions import InvalidPrice
from billing.genai_prices import UNIT_OF, PackagePrice, PriceLookup
from billing.money import format_rate
from billing.tariffs import Tiers
from billing.units import UNITS
from engines.model_registry import Registry
from engines.model_spec import ModelSpec
from engines.models_file import ModelsFileError
from engines.served_models import current_registry

USAGE_ERROR_EXIT = 2


class Command(BaseCommand):
    help = (
        "Add to the price book what the installed genai-prices package says that models of other servers "
        "cost. No network is asked; what the book says already is not added again. Without arguments these "
        "are the models of the models file that have no price there, but for those whose price was set by "
        "hand. Exits 1 where a model could not be priced, though others may have been, and 2 where nothing "
        "was tried."
    )
    requires_system_checks = []  # this command itself reports what they would
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "models",
            nargs="*",
            metavar="MODEL[=[PROVIDER/]NAME]",
            help="a model of the models file, and its name in the package, such as "
            "gpt-4o=openai/gpt-4o-2024-08-06; else it is looked for by its upstream_model or id, at the "
            "provider that base_url belongs to",
        )
        parser.add_argument("--dry-run", action="store_true", help="only show what would be added")
        parser.add_argument(
            "--leave-out",
            action="append",
            default=[],
            metavar="KIND",
            help="import prices without this kind of fee, which cannot be billed here: cache_write_mtok, say",
        )

    def handle(self, *, models: list[str], dry_run: bool, leave_out: list[str], **options: Any) -> None:
        _check_kinds(leave_out)
        wanted = list(_lookups(models))
        self.stdout.write(f"Prices of genai-prices {__version__}; USD, in the units of docs/models.md.")
        if not wanted:
            self.stdout.write(
                "Nothing to price: no model of another server is without a price in the models file."
            )
        failed = [
            lookup.model
            for lookup in wanted
            if not self._import(lookup, leave_out, is_named=bool(models), is_dry=dry_run)
        ]
        if failed:
            raise CommandError(f"Not priced: {', '.join(failed)}.")

    def _import(self, wanted: PriceLookup, leave_out: Sequence[str], *, is_named: bool, is_dry: bool) -> bool:
        now = timezone.now()
        try:
            offer = genai_prices.find_package_price(wanted, now, leave_out)
            missing = genai_prices.missing_versions(wanted.model, offer, now, replace=is_named)
            if missing and not is_dry:
                genai_prices.import_missing_versions(wanted.model, offer, replace=is_named)
        except InvalidPrice as problem:
            self.stdout.write(f"{wanted.model}: not imported: {problem}")
            return False
        for line in _describe(wanted.model, offer, missing, is_dry=is_dry):
            self.stdout.write(line)
        return True


def _check_kinds(leave_out: Sequence[str]) -> None:
    kinds = {unit["price_key"] for unit in unit_data.values()} - UNIT_OF.keys()
    for kind in leave_out:
        if kind not in kinds:
            raise CommandError(
                f"--leave-out {kind}: not one of {', '.join(sorted(kinds))}.", returncode=USAGE_ERROR_EXIT
            )


def _lookups(arguments: Sequence[str]) -> Iterator[PriceLookup]:
    try:
        registry = current_registry()
    except ModelsFileError as error:
        raise CommandError(f"The models file cannot be used: {error}", returncode=USAGE_ERROR_EXIT) from error
    if not arguments:
        yield from (_lookup_for(spec) for spec in registry if not _is_priced_by_file(spec))
    for argument in arguments:
        yield _lookup_from_argument(argument, registry)


def _lookup_from_argument(argument: str, registry: Registry) -> PriceLookup:
    model, is_mapped, reference = argument.partition("=")
    spec = registry.find(model)
    if spec is None:
        raise CommandError(f"There is no model {model!r} in the models file.", returncode=USAGE_ERROR_EXIT)
    if _is_priced_by_file(spec):
        raise CommandError(
            f"What {model!r} costs is said by the models file alone: it is free there, or has a price.",
            returncode=USAGE_ERROR_EXIT,
        )
    if is_mapped and not reference.strip("/"):
        raise CommandError(f"{argument!r} names no model of the package.", returncode=USAGE_ERROR_EXIT)
    if not is_mapped:
        return _lookup_for(spec)
    provider, is_at, name = reference.partition("/")
    return _lookup_for(spec, name, provider) if is_at else _lookup_for(spec, reference)


def _lookup_for(spec: ModelSpec, reference: str | None = None, provider_id: str | None = None) -> PriceLookup:
    return PriceLookup(
        model=spec.id,
        reference=reference or spec.upstream_model or spec.id,
        provider_id=provider_id,
        base_url=spec.base_url,
        hears="audio" in spec.input_modalities,
        sees="image" in spec.input_modalities,
        speaks="audio" in spec.output_modalities,
    )


def _is_priced_by_file(spec: ModelSpec) -> bool:
    return spec.is_local or spec.price is not None


def _describe(
    model: str, offer: PackagePrice, missing: Sequence[tuple[datetime | None, Tiers]], *, is_dry: bool
) -> Iterator[str]:
    if not missing:
        yield f"{model}: the price book has it already ({offer.name})"
    for starts_at, tiers in missing:
        when = f"from {starts_at:%Y-%m-%d %H:%M} UTC on" if starts_at else "from now on"
        yield f"{model}: {'would be added' if is_dry else 'added'}, {when} ({offer.name})"
        for start, rates in sorted(tiers.items()):
            rates_text = ", ".join(
                f"{unit} {format_rate(pico, UNITS[unit].per)}" for unit, pico in rates.items()
            )
            yield f"    {rates_text}" + (f", from {start:,} prompt tokens on" if start else "")
    for remark in offer.remarks:
        yield f"    {remark}"
