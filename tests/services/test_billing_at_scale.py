"""Billing on PostgreSQL, with several web servers and separate workers."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from billing import ledger
from billing.models import Wallet
from tests.services.conftest import REDIS
from tests.support.celery_workers import service_url
from tests.support.concurrent_spenders import COST, ask_at_once
from tests.support.kill_storm import Storm
from tests.support.people import person
from tests.support.priced_usage import assert_ledger_adds_up
from tests.support.run_command import running
from tests.support.running_server import database_url

pytestmark = pytest.mark.services


def own_redis() -> str:
    """The URL of an empty Redis database, because the storm's workers use the product's own queue names."""
    url = urlsplit(service_url(REDIS))._replace(path="/9").geturl()
    with redis.Redis.from_url(url) as connection:
        connection.flushdb()
    return url


def test_a_thousand_calls_share_a_balance_for_a_hundred(transactional_db: None, tmp_path: Path) -> None:
    alice = person("alice@example.com")
    ledger.top_up(alice.workspace.id, 100 * COST, reason="paid", by="treasurer")
    folders = [tmp_path / name for name in ("one", "two", "three")]
    environment = {"DATABASE_URL": database_url()}
    with (
        running(folders[0], **environment) as one,
        running(folders[1], **environment) as two,
        running(folders[2], **environment) as three,
    ):
        outcomes = ask_at_once(1000, [one.url, two.url, three.url], alice.key)
    assert outcomes == {(200, None): 100, (429, "insufficient_quota"): 900}
    assert Wallet.objects.get(pk=alice.workspace.id).available == 0
    assert_ledger_adds_up()


def test_answers_seen_before_a_kill_are_billed(transactional_db: None, tmp_path: Path) -> None:
    storm = Storm(tmp_path, kills=3, webs=2, workers=1, database=database_url(), broker=own_redis())
    storm.run()
    proof = storm.settle()
    assert "0 discrepancies" in proof
    assert storm.answered
    assert not storm.unbilled()
