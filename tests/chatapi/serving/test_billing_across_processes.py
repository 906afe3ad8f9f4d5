"""Billing with real processes: many at once, and killed ones."""

from pathlib import Path

import pytest
from django.core.management import call_command

from tests.support.concurrent_spenders import COST, ask_at_once
from tests.support.kill_storm import Storm
from tests.support.people import Person
from tests.support.priced_usage import assert_ledger_adds_up
from tests.support.run_command import running
from tests.support.running_server import database_url


@pytest.mark.parametrize(("calls", "paid"), [(100, 10), pytest.param(1000, 100, marks=pytest.mark.long)])
def test_calls_at_once_share_a_balance_for_a_tenth_of_them(
    transactional_db: None, alice: Person, tmp_path: Path, calls: int, paid: int
) -> None:
    call_command("top_up", alice.user.email, f"{paid * COST / 10**9:.9f}")
    environment = {"DATABASE_URL": database_url()}
    with running(tmp_path, **environment) as one, running(tmp_path, **environment) as other:
        outcomes = ask_at_once(calls, [one.url, other.url], alice.key)
        assert outcomes == {(200, None): paid, (429, "insufficient_quota"): calls - paid}
        with one.client(alice.key) as client:
            balance = client.get("/v1/billing/balance").json()
        assert balance["available"] == "0.00"
    call_command("verify_ledger")
    assert_ledger_adds_up()


@pytest.mark.long  # tests/chatapi/serving/test_run_command.py kills a server with one answer
def test_killed_answers_are_billed_for_what_was_seen_of_them(tmp_path: Path) -> None:
    storm = Storm(tmp_path, kills=1)
    storm.run()
    proof = storm.settle()
    assert "0 discrepancies" in proof
    assert storm.answered
    assert not storm.unbilled()
