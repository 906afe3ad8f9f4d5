"""What operators do on billing's admin pages."""

import re
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from billing.charge_posting import post_settled
from billing.holds import ChargeRequest, ChargeSettlement
from billing.tariffs import Bound
from billing.units import Units
from core.ids import new_id
from tests.support.charges import hold, settle
from tests.support.people import Person

Answer = Any
"""A response of the test client, which has a `text`."""

HOME = "/admin/billing/"
LISTS = ("alert", "budget", "charge", "price", "statement", "transaction", "usagerollup", "wallet")


def action_url(model: str, id: Any, action: str = "change") -> str:
    return f"{HOME}{model}/{id}/{action}/"


def list_url(model: str, **query: Any) -> str:
    return f"{HOME}{model}/" + (f"?{urlencode(query)}" if query else "")


def fill_in(client: Client, address: str, **values: Any) -> Answer:
    """Open an action's page, fill in its form and submit it. Return the response."""
    hidden = re.findall(r'name="token" value="([^"]+)"', client.get(address).text)
    body = {**({"token": hidden[0]} if hidden else {}), **values}
    return client.post(address, {name: value for name, value in body.items() if value is not None})


def form_errors(answer: Answer) -> str:
    """The errors that a page shows, without markup."""
    assert answer.status_code == 200, answer.status_code
    lists = re.findall(r'<ul class="errorlist.*?</ul>', answer.text, re.DOTALL)
    assert lists
    return " ".join(strip_tags(text) for text in lists).replace("&#x27;", "'")


def shown_messages(client: Client, answer: Answer) -> str:
    """The messages on the page that an action redirects to, without markup."""
    assert answer.status_code == 302, form_errors(answer)
    found = re.search(r'<ul class="messagelist">.*?</ul>', client.get(answer["Location"]).text, re.DOTALL)
    return strip_tags(found[0]).replace("&#x27;", "'") if found else ""


def logged_messages() -> list[str]:
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


def charge_call(
    who: Person,
    model: str,
    *,
    workspace_id: UUID | None = None,
    token_id: UUID | None = None,
    post: bool = True,
    **counts: int,
) -> UUID:
    """Charge a call of a model that ended now and used this much. Return the charge's id."""
    now = timezone.now()
    owner = workspace_id or who.workspace.id
    order = ChargeRequest(new_id(), "completion", owner, who.user.pk, None, (model,), now, token_id=token_id)
    held = hold(order, Bound(prompt=10_000, output=10_000))
    settle(ChargeSettlement(held, model, Units(**counts), "stop", now))
    if post:
        post_settled()
    return order.charge_id
