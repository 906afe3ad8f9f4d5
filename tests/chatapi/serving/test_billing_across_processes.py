"""Billing with real processes: many at once, and killed ones."""

import subprocess
import sys
from pathlib import Path

from chatapi.env import ROOT
from tests.support.concurrent_spenders import CALLS, COST, PAID, ask_all
from tests.support.kill_storm import Storm
from tests.support.run_command import clean_environment, running


def manage(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=clean_environment(data),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_thousand_calls_share_a_balance_for_a_hundred(tmp_path: Path) -> None:
    with running(tmp_path) as one, running(tmp_path) as other:
        urls = [one.url, other.url]
        api_key = next(run for run in (one, other) if "API key" in run.output).api_key
        paid = manage(tmp_path, "top_up", "admin@localhost", f"{PAID * COST / 10**9:.9f}")
        assert paid.returncode == 0, paid.stderr
        outcomes = ask_all(urls, api_key)
        assert outcomes == {(200, None): PAID, (429, "insufficient_quota"): CALLS - PAID}
        with one.client(api_key) as client:
            balance = client.get("/v1/billing/balance").json()
        assert balance["available"] == "0.00"
        proof = manage(tmp_path, "verify_ledger")
        assert proof.returncode == 0, proof.stdout


def test_killed_answers_are_billed_for_what_was_seen_of_them(tmp_path: Path) -> None:
    storm = Storm(tmp_path, kills=1)
    storm.run()
    proof = storm.settle()
    assert "0 discrepancies" in proof
    assert storm.answered
    assert not storm.unbilled()
