"""`manage.py run` on PostgreSQL and on a broker of its own: `make test-services`."""

import os
from pathlib import Path

import pytest

from tests.support.run_command import running
from tests.support.running_server import chat_body, events, text_of

pytestmark = pytest.mark.services


@pytest.mark.parametrize("broker", ["CHATAPI_TEST_REDIS_URL", "CHATAPI_TEST_AMQP_URL"])
def test_one_command_serves_on_real_services(tmp_path: Path, database_url: str, broker: str) -> None:
    environment = {"DATABASE_URL": database_url, "CELERY_BROKER_URL": os.environ[broker]}
    with running(tmp_path, **environment) as first, first.client(first.api_key) as client:
        answer = client.post("/chat/completions", json=chat_body("Hello there"))
        assert text_of(events(answer)) == "You said: Hello there"
        assert first.stop() == 0
        assert first.error_output == ""
        assert not (tmp_path / "chatapi.sqlite3").exists()


def test_two_servers_that_start_together_make_one_admin(tmp_path: Path, database_url: str) -> None:
    with (
        running(tmp_path / "one", DATABASE_URL=database_url) as one,
        running(tmp_path / "two", DATABASE_URL=database_url) as two,
    ):
        assert one.url != two.url
        assert (one.output + two.output).count("API key") == 1
        assert one.stop() == two.stop() == 0
