"""What holds assets: an asset is kept while any row holds it, and shown only to those who see such a row.

A relation that forbids deleting the asset holds it; rows of any other relation are deleted along with it.
"""

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from media.models import Asset


def unheld(assets: QuerySet[Asset]) -> QuerySet[Asset]:
    """Select the assets that nothing holds."""
    return assets.exclude(_any_exists(_holders()))


def visible_assets(holder: UUID | None) -> QuerySet[Asset]:
    """Return the assets that the row of this id holds, or any row if it is None.

    What holds an asset was not deleted, and has not expired, although the asset may still be kept.
    """
    rows = _holders("showing")
    return Asset.objects.filter(
        _any_exists(rows if holder is None else (one.filter(pk=holder) for one in rows))
    )


def _holders(manager: str = "_base_manager") -> Iterator[QuerySet[Any]]:
    """Yield the rows that hold the asset of the outer query, by their model.

    Each such model has a manager `showing`, of the rows by which the asset is shown, too.
    """
    for relation in Asset._meta.related_objects:
        if getattr(relation.on_delete, "__name__", "") == "RESTRICT":
            rows = getattr(relation.related_model, manager)
            yield rows.filter(**{relation.field.name: OuterRef("pk")})


def _any_exists(several: Iterator[QuerySet[Any]]) -> Q:
    return reduce(or_, (Q(Exists(rows)) for rows in several))
