"""One balance spent several times, and sums that no ledger holds."""

import asyncio
from datetime import UTC, datetime

import httpx2

from billing.models import Charge
from tests.attacks.checks import check, check_all, status_problem
from tests.attacks.stage import Stage, request_body
from tests.support.concurrent_spenders import COST, ask_at_once
from tests.support.fake_upstream import end, frame, raw, say
from tests.support.people import Person
from tests.support.priced_usage import add_credit
from tests.support.run_command import manage

CALLS, PAID = 60, 6
REPEATS = 8
TOP_UPS = 10


def calls_at_once(stage: Stage) -> None:
    """Spend the same money several times: make many calls at the same moment."""
    who = stage.newcomer("0")
    add_credit(who, PAID * COST)
    outcomes = ask_at_once(CALLS, [stage.server.url], who.key)
    paid = outcomes.pop((200, None), 0)
    check(paid == PAID, f"{paid} of {CALLS} calls were answered, though the wallet pays for {PAID}")
    check(set(outcomes) == {(429, "insufficient_quota")}, f"the others got {outcomes}")
    stage.charges(who)
    check(stage.available(who) == "0.00", f"{stage.available(who)} USD are left")


def repeats_at_once(stage: Stage) -> None:
    """Make someone pay again for a call that their client repeats, with the same key."""
    who = stage.newcomer()
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    asked = stage.will(raw(0.3, frame(say("Once.")), frame(end(usage=usage)), b"data: [DONE]\n\n"))
    answers = asyncio.run(_repeat(stage, who))
    came = {answer.json().get("id") for answer in answers}
    check(len(came) == 1, f"{len(came)} answers: {[answer.text[:100] for answer in answers]}")
    stage.charges(who)
    charges = Charge.objects.filter(workspace_id=who.workspace.id).count()
    requests = len(stage.upstream.requests) - asked
    check((charges, requests) == (1, 1), f"{charges} charges, and the upstream was asked {requests} times")


async def _repeat(stage: Stage, who: Person) -> list[httpx2.Response]:
    headers = {**who.headers, "Idempotency-Key": "once"}
    async with httpx2.AsyncClient(
        base_url=stage.server.url, headers=headers, timeout=20, verify=False
    ) as client:
        body = request_body("Hello")
        calls = (client.post("/v1/chat/completions", json=body) for _ in range(REPEATS))
        return list(await asyncio.gather(*calls))


def billions(stage: Stage) -> None:
    """Break statements, and the proof of the books, by payments that no column holds, or their sum."""
    kept, taken_back = stage.newcomer("0"), stage.newcomer("0")
    made = manage(stage.data, "shell", "-c", _billions(kept, taken_back), **stage.environment)
    check("Traceback" not in made.stderr, f"a payment ended in {made.stderr.strip().splitlines()[-1:]}")
    check("REFUSED" in made.stdout, f"none was refused: {made.stdout.strip()[-300:]}")
    month = f"/v1/billing/statements/{datetime.now(UTC):%Y-%m}"
    paths = (month, f"{month}.csv", f"{month}.html", "/v1/billing/balance", "/v1/billing/transactions")
    problems: dict[str, str | None] = {}
    for who, name in ((kept, "kept"), (taken_back, "each taken back")):
        with stage.client(who) as client:
            for path in paths:
                problems[f"{name}, {path}"] = status_problem(client.get(path), 200)
    check_all(problems)


def _billions(kept: Person, taken_back: Person) -> str:
    """Code that tops both up with a thousand million USD, ten times, as an operator does."""
    return f"""
from uuid import UUID
from django.core.management import CommandError, call_command
from billing import ledger
from billing.exceptions import InvalidBillingAction

why = {{"reason": "a mistake", "by": "operator"}}
for n in range({TOP_UPS}):
    for email in ({kept.user.email!r}, {taken_back.user.email!r}):
        try:
            call_command("top_up", email, "1000000000")
            if email == {taken_back.user.email!r}:
                ledger.adjust(UUID({taken_back.workspace.id.hex!r}), -10**18, **why)
        except (CommandError, InvalidBillingAction) as error:
            print("REFUSED", error)
"""
