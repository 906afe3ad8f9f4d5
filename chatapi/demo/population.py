"""Which conversations there are: whose, how long, and when."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import NamedTuple

from chatapi.demo.demo_models import SHARES
from chatapi.demo.people import Tenant
from chatapi.demo.rows import Milliseconds
from chatapi.demo.texts import draw
from chatapi.demo.threads import LONG, TURN, Draft

SPAN = timedelta(days=365)
_SPAN = int(SPAN.total_seconds() * 1000)
_LENGTHS = ((0.35, 2, 2), (0.6, 3, 5), (0.85, 6, 13), (0.98, 14, 60), (1.0, 80, 400))
"""Up to which chance a conversation has from so many to so many messages."""


class Size(NamedTuple):
    """How many messages there are to be, of whom, and until when."""

    messages: int
    until: Milliseconds


def draft_conversations(size: Size, tenants: Sequence[Tenant], random: Random) -> list[Draft]:
    """Return drafts of conversations with exactly so many messages, in the order in which they begin."""
    lengths = list(_lengths(size.messages, random))
    if not lengths:
        return []
    shares = [tenant.share for tenant in tenants]
    chosen = random.choices(tenants, weights=shares, k=len(lengths))
    chosen[0] = tenants[0]  # the longest one is the largest workspace's
    end_users = {tenant.id: max(3, chosen.count(tenant) // 6) for tenant in tenants}
    drafts = [
        _draft(tenant, length, size.until, end_users, random)
        for tenant, length in zip(chosen, lengths, strict=True)
    ]
    return sorted(drafts, key=lambda draft: draft.begin)


def _lengths(messages: int, random: Random) -> Iterator[int]:
    longest = max(messages // 200, min(40, messages))
    if longest:
        yield longest
    left = messages - longest
    while left:
        chance = random.random()
        least, most = next((least, most) for limit, least, most in _LENGTHS if chance <= limit)
        length = min(left, random.randint(least, most))
        yield length
        left -= length


def _draft(
    tenant: Tenant, length: int, until: Milliseconds, end_users: Mapping[str, int], random: Random
) -> Draft:
    """Draft a conversation; the newer, the more there are."""
    ago = int(_SPAN * random.random() ** 1.6)
    takes = min(_SPAN, TURN * (length + 1))
    begin = until - max(takes, min(_SPAN, ago))
    owner = tenant.owner(random, end_users[tenant.id], by_key=length >= LONG)
    return Draft(owner, length, begin, until, draw(random, SHARES))
