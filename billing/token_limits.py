"""The spending limits of end-user tokens: for all that the calls with a token hold and cost, on any day."""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from accounts.models import EndUserToken
from billing.exceptions import Unaffordable
from billing.models import Spend
from core.bulk_sql import fetch, id_from_driver, id_to_driver
from core.money import format_usd


class TokenLimit(NamedTuple):
    """A token's limit, None if it has none, and what its calls hold and cost, in nano-USD."""

    limit: int | None
    spent: int


class TokenLimits:
    """The limits of the tokens that a transaction's calls came with.

    They are read under the lock of the wallet that all calls with a token are paid from, so what is spent
    cannot change until the transaction ends.
    """

    def __init__(self, limits: Mapping[UUID, TokenLimit] = MappingProxyType({})) -> None:
        self._limits = limits

    @classmethod
    def read(cls, token_ids: Collection[UUID]) -> "TokenLimits":
        if not token_ids:
            return cls()
        rows = fetch(_read(size := _padded(len(token_ids))), _pad([*map(id_to_driver, token_ids)], size))
        return cls({id_from_driver(id): TokenLimit(limit, int(spent or 0)) for id, limit, spent in rows})

    def check(self, token_id: UUID, amount: int, spent: int, demand: Callable[[], str]) -> None:
        """Check a call against its token's limit. `spent` is what this transaction adds.

        Raises `Unaffordable`, also if the token is deleted: nobody knows what may be spent with it.
        """
        found = self._limits.get(token_id)
        if found is None:
            raise Unaffordable(f"{demand()}, and the end-user token that it came with is deleted.")
        if found.limit is not None and found.spent + spent + amount > found.limit:
            left = max(0, found.limit - found.spent - spent)
            raise Unaffordable(
                f"{demand()}, and of this end-user token's limit of {format_usd(found.limit)} USD "
                f"{format_usd(left)} USD are left."
            )


@lru_cache
def _read(count: int) -> str:
    places = ", ".join("?" * count)
    return (
        "SELECT token.id, token.spending_limit,"  # noqa: S608
        f" (SELECT SUM(spend.amount) FROM {Spend._meta.db_table} AS spend WHERE spend.scope_id = token.id)"
        f" FROM {EndUserToken._meta.db_table} AS token WHERE token.id IN ({places})"
    )


def _padded(count: int) -> int:
    """Return the next power of two: few statements, each prepared once."""
    return 1 << (count - 1).bit_length()


def _pad(ids: list[object], size: int) -> list[object]:
    return ids + ids[:1] * (size - len(ids))
