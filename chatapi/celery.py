"""The Celery application; `celery -A chatapi worker` finds it here."""

import os
import threading
from typing import Any

import django
from celery import Celery
from celery.signals import celeryd_after_setup, celeryd_init, worker_shutting_down
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapi.settings")

TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "chatapi.celery_redis_transport:Transport"))

SHUTDOWN_GRACE_SECONDS = 60.0
"""How long tasks may run after a worker is told to stop. Less than a service manager waits to kill it."""

app = Celery("chatapi")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["media.renditions"])


@celeryd_init.connect
def check_worker(**_: Any) -> None:
    """Check the environment of `celery worker`; the embedded one starts after the server's own checks."""
    django.setup()
    from chatapi.serving.preflight import check_or_exit

    check_or_exit(tables=True)


@celeryd_after_setup.connect
def consume_awaited_queue(conf: Any, **_: Any) -> None:
    """Consume the awaited queue with `--queues media` too: the same workers do its tasks, only first."""
    queues, routes = app.amqp.queues, conf.task_routes
    if routes["media.*"]["queue"] in queues.consume_from:
        queues.select_add(queues[routes["media.renditions.tasks.make_awaited"]["queue"]])


@worker_shutting_down.connect
def interrupt_long_tasks(how: str, **_: Any) -> None:
    """Interrupt long jobs, so that they give their attempt back.

    If one is killed, nobody knows that it was not to blame.
    """
    from media.processing.sandbox.pools import close_all

    timer = threading.Timer(0 if how == "Cold" else SHUTDOWN_GRACE_SECONDS, close_all)
    timer.daemon = True
    timer.start()
