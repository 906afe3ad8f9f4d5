import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.support.celery_workers import CeleryCluster, celery_cluster, service_url

REDIS, RABBITMQ = "CHATAPI_TEST_REDIS_URL", "CHATAPI_TEST_AMQP_URL"


@pytest.fixture(params=[REDIS, RABBITMQ], ids=["redis", "rabbitmq"])
def works(request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path) -> Iterator[CeleryCluster]:
    """Queues on a real broker. Request it before `alice`, whose rows workers see only once committed."""
    with celery_cluster(service_url(request.param), tmp_path) as made:
        yield made


@pytest.fixture
def works_on_rabbitmq(transactional_db: None, tmp_path: Path) -> Iterator[CeleryCluster]:
    with celery_cluster(service_url(RABBITMQ), tmp_path) as made:
        yield made


@pytest.fixture
def works_on_redis(transactional_db: None, tmp_path: Path) -> Iterator[CeleryCluster]:
    with celery_cluster(service_url(REDIS), tmp_path) as made:
        yield made


@pytest.fixture
def database_url() -> Iterator[str]:
    """An empty database, dropped afterwards."""
    server = os.environ["CHATAPI_TEST_DATABASE_URL"]
    name = f"chatapi_run_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield f"{server.rpartition('/')[0]}/{name}"
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
