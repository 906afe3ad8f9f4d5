"""Run the attacks one after the other, and report each in a line."""

import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from django.db.models import F

from billing.models import Charge, Wallet
from tests.attacks.checks import Broken, check
from tests.attacks.registry import ATTACKS
from tests.attacks.stage import Stage, raised_stage, usd
from tests.support.run_command import manage

Attack = Callable[[Stage], None]


def attack_all(folder: Path, word: str) -> int:
    """Run the attacks that have the word in their name. Return the exit status: 1 if one succeeded."""
    attacks = [attack for attack in ATTACKS if word in name_of(attack)]
    if not attacks:
        sys.stdout.write(f"no attack has {word!r} in its name\n")
        return 1
    started = time.monotonic()
    with raised_stage(folder) as stage:
        broken = run_attacks((*attacks, *AFTERWARDS), stage)
    seconds = time.monotonic() - started
    sys.stdout.write(f"{len(attacks)} attacks in {seconds:.0f} s, {broken} broken\n")
    return 1 if broken else 0


def run_attacks(attacks: Iterable[Attack], stage: Stage) -> int:
    """Run the attacks, write a line for each, and return how many succeeded."""
    broken = 0
    for attack in attacks:
        started = time.monotonic()
        problem = _problem_of(attack, stage)
        broken += problem is not None
        seconds = time.monotonic() - started
        sys.stdout.write(f"{'BROKEN' if problem else 'held  '} {seconds:5.1f} s  {name_of(attack)}\n")
        if problem:
            sys.stdout.write(f"        {_first_line(attack)}\n        -> {problem}\n")
        sys.stdout.flush()
    return broken


def name_of(attack: Attack) -> str:
    return f"{attack.__module__.rpartition('.')[2]}.{attack.__name__}"


def _problem_of(attack: Attack, stage: Stage) -> str | None:
    """What came of the attack; None if it held."""
    try:
        attack(stage)
    except Broken as broken:
        return str(broken)
    except Exception:  # noqa: BLE001 (an attack that cannot be made proves nothing, and the next one is made)
        return f"the attack itself failed:\n{traceback.format_exc()}"
    return None


def _first_line(attack: Attack) -> str:
    return (attack.__doc__ or "").partition("\n")[0]


# --- what must be true after all attacks ----------------------------------------------------------


def server_is_well(stage: Stage) -> None:
    """Crash the server, or something in it."""
    with stage.client() as client:
        health = client.get("/healthz")
    check(health.status_code == 200, f"/healthz answers {health.status_code} {health.text}")
    tracebacks = stage.log.count("Traceback")
    first = stage.log.partition("Traceback")[2][:1500]
    check(not tracebacks, f"{tracebacks} tracebacks in the server's log; the first: {first}")


def estimates_stay_within_holds(stage: Stage) -> None:
    """Spend more than a wallet holds, by whatever was counted here."""
    estimated = Charge.objects.filter(is_estimated=True, cost__gt=F("held"))
    over = [f"{usd(charge.cost)} of {charge.model}, {usd(charge.held)} held" for charge in estimated]
    check(not over, f"{len(over)} estimates are higher than what was held: {'; '.join(over[:3])}")
    wallets = Wallet.objects.filter(balance__lt=F("held"))
    check(not wallets, f"overdrawn, though prepaid: {', '.join(map(str, wallets))}")


def books_add_up(stage: Stage) -> None:
    """Get money into the books, or out of them, that nothing accounts for."""
    proof = manage(stage.data, "verify_ledger", **stage.environment)
    came = f"verify_ledger: {proof.stdout}{proof.stderr}".strip()
    check(proof.returncode == 0, came[-2000:])


AFTERWARDS: tuple[Attack, ...] = (server_is_well, estimates_stay_within_holds, books_add_up)
