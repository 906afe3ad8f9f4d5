"""The Celery application; `celery -A chatapi worker` finds it here."""

import os
from typing import Any

import django
from celery import Celery
from celery.signals import celeryd_after_setup, celeryd_init
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapi.settings")

TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "chatapi.redis_broker:Transport"))

app = Celery("chatapi")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
def check_worker(**_: Any) -> None:
    """Of `celery worker` alone: the embedded one starts after the server's own checks."""
    django.setup()
    from chatapi.serving.preflight import CannotStart
    from chatapi.serving.worker import check_surroundings

    try:
        check_surroundings()
    except CannotStart as reason:
        raise SystemExit(f"chatapi: {reason}") from None


@celeryd_after_setup.connect
def take_what_is_awaited(conf: Any, **_: Any) -> None:
    """With `--queues media` too: the same workers make it, and only first."""
    queues, routes = app.amqp.queues, conf.task_routes
    if routes["media.tasks.*"]["queue"] in queues.consume_from:
        queues.select_add(queues[routes["media.tasks.make_awaited"]["queue"]])
