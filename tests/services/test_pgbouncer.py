"""`manage.py run` behind PgBouncer, which gives each transaction another connection: `make test-services`."""

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from tests.support.pgbouncer import PgBouncer, pgbouncer
from tests.support.run_command import Run, manage, running
from tests.support.running_server import chat_body, events, text_of, wait_until

pytestmark = pytest.mark.services


@pytest.fixture
def pooler(tmp_path: Path, database_url: str) -> Iterator[PgBouncer]:
    with pgbouncer(tmp_path, database_url, pool_size=2) as pooler:
        yield pooler


def pooled(pooler: PgBouncer, database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": pooler.url(urlsplit(database_url).path[1:])}


def ask(run: Run, api_key: str) -> str:
    with run.client(api_key) as client:
        answer = client.post("/v1/chat/completions", json=chat_body("Hello there", stream=True))
    return text_of(events(answer)) if answer.status_code == 200 else answer.json()["error"]["code"]


def sign_in(client: httpx2.Client, run: Run) -> None:
    [email], [password] = (re.findall(rf"{name} +(\S+)", run.output) for name in ("email", "password"))
    token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/accounts/login/").text)[0]
    fields = {"login": email, "password": password, "csrfmiddlewaretoken": token, "next": "/admin/"}
    assert client.post("/accounts/login/", data=fields, headers={"Referer": run.url}).status_code == 302


def broken_admin_pages(run: Run) -> list[str]:
    """Open each list of the admin site, each form to add something, and one row of each list."""
    with httpx2.Client(base_url=run.url, timeout=20) as client:
        sign_in(client, run)
        pages = set(re.findall(r'href="(/admin/\w+/\w+/(?:add/)?)"', client.get("/admin/").text))
        assert len(pages) > 10
        answers = {page: client.get(page) for page in pages}
        for page in pages:
            rows = re.findall(rf'href="({page}[^/"]+/change/)', answers[page].text)
            answers |= {row: client.get(row) for row in rows[:1]}
    return [page for page, answer in answers.items() if answer.status_code != 200]


def test_two_servers_start_and_serve_also_after_the_pooler_was_away(
    tmp_path: Path, pooler: PgBouncer, database_url: str
) -> None:
    environment = pooled(pooler, database_url)
    with running(tmp_path / "one", **environment) as one, running(tmp_path / "two", **environment) as two:
        assert one.url != two.url
        assert (one.output + two.output).count("Preparing the database") == 1
        first = one if "API key" in one.output else two
        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda run: ask(run, first.api_key), [one, two] * 6))
        assert set(answers) == {"You said: Hello there"}
        assert broken_admin_pages(first) == []
        proof = manage(tmp_path / "one", "verify_ledger", **environment)
        assert proof.stdout == "12 charges, 0 transactions, 0 discrepancies\n", proof.stderr

        pooler.stop()
        with ThreadPoolExecutor(1) as threads:
            meanwhile = threads.submit(ask, first, first.api_key)
            wait_until(lambda: "error connecting" in first.error_output)
            pooler.start()
            assert meanwhile.result() in {"You said: Hello there", "database"}
        wait_until(lambda: {ask(run, first.api_key) for run in (one, two)} == {"You said: Hello there"}, 20)
        assert one.stop() == two.stop() == 0


def test_a_server_killed_while_it_prepares_the_database_holds_up_nobody(
    tmp_path: Path, pooler: PgBouncer, database_url: str
) -> None:
    environment = pooled(pooler, database_url)
    with ExitStack() as stack:
        obstacle = stack.enter_context(psycopg.connect(database_url))
        obstacle.execute("CREATE TABLE django_migrations (id int)")  # whoever migrates waits for its end
        first = stack.enter_context(running(tmp_path / "one", **environment))
        wait_until(lambda: holds_the_lock(database_url), 30)
        second = stack.enter_context(running(tmp_path / "two", **environment))
        wait_until(lambda: "Waiting for another process" in second.output, 30)
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
        obstacle.rollback()
        assert ask(second, second.api_key) == "You said: Hello there"
        assert second.error_output == ""


def holds_the_lock(database_url: str) -> bool:
    query = (
        "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE locktype = 'advisory' AND granted AND datname = current_database()"
    )
    with psycopg.connect(database_url) as connection:
        return connection.execute(query).fetchone() is not None
