"""What keys, their tokens and workspaces used and have left, on their own pages in the admin."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Model, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.admin.panels import Panel, register_panel
from accounts.keys.end_user_tokens import spent_of, valid_tokens_of
from accounts.models import ApiKey, EndUserToken, Workspace
from billing.admin.formatting import usd
from billing.models import Charge, UsageRollup, Wallet
from billing.units import UNITS
from billing.usage_report import DAY, UsageQuery, UsageSums, usage_sums
from core.admin_rights import may_view

DAYS = 30
SHOWN_TOKENS = 20


def key_panel(key: ApiKey) -> Panel | None:
    """Return what a key used in the last days, for who may view usage."""
    if not may_view(UsageRollup):
        return None
    sums = _sums_of(key)
    units = {name: sum(one.units[name] for one in sums) for name in UNITS}
    rows = [
        ("Requests", f"{sum(one.requests for one in sums):,}"),
        *((UNITS[name].label.capitalize(), f"{count:,}") for name, count in units.items() if count),
        ("Cost in USD", usd(sum(one.cost for one in sums))),
    ]
    links = [("Usage of its workspace", _list_url(UsageRollup, workspace=key.workspace_id))]
    if may_view(Charge):
        links.append(("Its charges", _list_url(Charge, q=key.pk)))
    return Panel(f"Usage of the last {DAYS} days (UTC)", tuple(rows), tuple(links))


def tokens_panel(key: ApiKey) -> Panel | None:
    """Return the newest of the tokens with which browsers act for a key at present."""
    tokens = list(valid_tokens_of(key)[:SHOWN_TOKENS]) if key.state == "active" else []
    if not tokens:
        return None
    spent = spent_of(tokens) if may_view(UsageRollup) else None
    rows = tuple((token.end_user, _described(token, spent)) for token in tokens)
    return Panel(f"Valid end-user tokens, the {SHOWN_TOKENS} newest", rows)


def _described(token: EndUserToken, spent: Mapping[UUID, int] | None) -> str:
    text = f"made {token.created_at:%Y-%m-%d %H:%M}, expires {token.expires_at:%Y-%m-%d %H:%M} UTC"
    return text if spent is None else f"{text}, spent {usd(spent[token.pk])} USD"


def workspace_panel(workspace: Workspace) -> Panel | None:
    """Return the balance of a workspace's wallet, for who may view wallets."""
    if not may_view(Wallet):
        return None
    wallet = Wallet.objects.filter(pk=workspace.pk).first()
    if wallet is None:
        return Panel("Wallet", (("Balance", "It has no wallet yet: its first call with a price opens one."),))
    left = "no limit" if wallet.credit_limit is None else usd(wallet.available)
    rows = (
        ("Balance in USD", usd(wallet.balance)),
        ("Held in USD", usd(wallet.held)),
        ("Left to spend in USD", left),
    )
    return Panel("Wallet", rows, (("Its wallet", reverse("admin:billing_wallet_change", args=[wallet.pk])),))


def _sums_of(key: ApiKey) -> list[UsageSums]:
    today = datetime.combine(timezone.now().astimezone(UTC), time(), UTC)
    starts = [int((today - timedelta(days=ago)).timestamp()) for ago in reversed(range(DAYS))]
    query = UsageQuery(key.workspace_id, DAY, starts, where=Q(key_id=key.pk))
    return [sums for bucket in usage_sums(query).values() for sums in bucket]


def _list_url(model: type[Model], **query: Any) -> str:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(query)}"


register_panel(ApiKey, key_panel)
register_panel(ApiKey, tokens_panel)
register_panel(Workspace, workspace_panel)
