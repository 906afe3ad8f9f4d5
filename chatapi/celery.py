"""The Celery application; `celery -A chatapi worker` finds it here."""

import os
from typing import Any

import django
from celery import Celery
from celery.signals import celeryd_init
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
