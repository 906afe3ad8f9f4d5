"""The product's settings for processes that tests start, with queues of their own and a fast schedule."""

import os

from kombu import Queue

from chatapi.settings import *  # noqa: F403
from chatapi.settings import CELERY_BEAT_SCHEDULE, CELERY_BROKER_TRANSPORT_OPTIONS, CELERY_TASK_QUEUES
from chatapi.settings import CELERY_TASK_ROUTES as ROUTES

PREFIX = os.environ["CHATAPI_TEST_PREFIX"]

CELERY_TASK_QUEUES = [
    Queue(PREFIX + queue.name, routing_key=PREFIX + queue.name, expires=300) for queue in CELERY_TASK_QUEUES
]
CELERY_TASK_DEFAULT_QUEUE = CELERY_TASK_DEFAULT_ROUTING_KEY = f"{PREFIX}default"
CELERY_TASK_ROUTES = {task: {"queue": PREFIX + to["queue"]} for task, to in ROUTES.items()}
if "visibility_timeout" in CELERY_BROKER_TRANSPORT_OPTIONS:
    CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "global_keyprefix": PREFIX}
CELERY_BEAT_SCHEDULE = {"make-overdue": {**CELERY_BEAT_SCHEDULE["make-overdue"], "schedule": 1.0}}
CELERY_IMPORTS = ["tests.services.tasks"]
