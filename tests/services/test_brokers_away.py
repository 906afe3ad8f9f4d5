"""While the broker is away, requests go on; what they asked for is done once it is back.

The web server, a worker and the scheduler are real processes. A gateway to the broker is shut.
"""

import time
from pathlib import Path

import httpx2
import pytest
import redis
from django.conf import settings

from media.models import Rendition
from tests.services.test_workers import words_of
from tests.support.broker_gateway import Mode, gateway
from tests.support.celery_workers import PATIENCE, CeleryCluster
from tests.support.run_command import running
from tests.support.running_server import wait_until
from tests.support.sounds import wav

pytestmark = pytest.mark.services


def upload(client: httpx2.Client, length: int) -> float:
    """Upload a sound. Return the seconds it took."""
    started = time.monotonic()
    answer = client.post(
        "/v1/files", files={"file": ("a.wav", wav(bytes(length)))}, data={"purpose": "user_data"}
    )
    assert answer.status_code == 200, answer.text
    return time.monotonic() - started


def all_made(count: int) -> bool:
    states = list(Rendition.objects.filter(kind="wav").values_list("state", flat=True))
    assert "failed" not in states
    return states == ["ready"] * count


@pytest.mark.parametrize("mode", ["refusing", "silent"])
def test_requests_do_not_hang_and_nothing_is_lost(works: CeleryCluster, tmp_path: Path, mode: Mode) -> None:
    with gateway(works.broker) as door:
        works.broker = door.url
        environment = works.environment(CHATAPI_EMBEDDED_WORKER="0")
        with running(Path(environment["CHATAPI_DATA_DIR"]), **environment) as web:
            client = web.client(web.api_key)
            with client:
                worker = works.worker("--pool", "threads", "--concurrency", "2", queues=("media", "default"))
                beat = works.start(["beat", "--schedule", str(tmp_path / "beat")])
                upload(client, 64_000)
                wait_until(lambda: all_made(1) and list(tmp_path.glob("beat*")), PATIENCE)

                door.set_mode(mode)
                assert max(upload(client, 64_000 + 2 * number) for number in range(1, 4)) < 10
                door.set_mode("open")
                wait_until(lambda: all_made(4) or worker.has_ended or beat.has_ended, PATIENCE)
                assert not worker.has_ended, worker.output
                assert not beat.has_ended, beat.output
                assert web.process.poll() is None


@pytest.mark.parametrize("mode", ["refusing", "silent"])
def test_a_worker_outlives_its_connection_while_tasks_run(
    works: CeleryCluster, tmp_path: Path, mode: Mode
) -> None:
    """One task ends while the broker is away, one after it is back; neither can be acknowledged anymore."""
    notes = tmp_path / "notes"
    with gateway(works.broker) as door:
        works.broker = door.url
        worker = works.worker("--pool", "threads", "--concurrency", "3")
        works.send("tests.services.tasks.note", str(notes), "short", 1)
        works.send("tests.services.tasks.note", str(notes), "long", 5)
        wait_until(lambda: {"short", "long"} <= words_of(notes), PATIENCE)
        door.set_mode(mode)
        wait_until(lambda: "short done" in words_of(notes), PATIENCE)
        door.set_mode("open")
        works.send("tests.services.tasks.note", str(notes), "next")
        wait_until(lambda: {"long done", "next done"} <= words_of(notes) or worker.has_ended, PATIENCE)
        works.send("tests.services.tasks.note", str(notes), "last")
        wait_until(lambda: "last done" in words_of(notes) or worker.has_ended, PATIENCE)
        assert not worker.has_ended, worker.output
        assert worker.stop() == 0


def queued(works: CeleryCluster) -> str:
    """What was sent and no worker has taken. Each message has its sender's process id."""
    with redis.Redis.from_url(works.broker, decode_responses=True) as connection:
        return "".join(connection.lrange(f"{works.prefix}{works.prefix}default", 0, -1))


def test_two_schedules_in_one_folder_do_no_harm(works_on_redis: CeleryCluster) -> None:
    """What is due is sent twice but done once."""
    works = works_on_redis
    beats = [works.start(["beat"]) for _ in range(2)]
    senders = [f'"gen{beat.process.pid}@' for beat in beats]
    wait_until(
        lambda: all(sender in queued(works) for sender in senders) or any(beat.has_ended for beat in beats),
        PATIENCE,
    )
    assert list(Path(settings.DATA_DIR).glob("celerybeat-schedule*"))
    worker = works.worker("--pool", "threads", "--concurrency", "1")
    wait_until(lambda: not queued(works), PATIENCE)
    assert [process.process.poll() for process in (*beats, worker)] == [None, None, None]
    assert [beat.stop() for beat in beats] == [0, 0]
    assert "Traceback" not in worker.output
