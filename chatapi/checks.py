"""Bad configuration, as numbered system checks that say how to mend it.

E001 models file         E002 data folder      E003 database engine     E004 CORS origins
W001 a key is not set    W002 nobody works     W003 no local engine     W004 hosts
"""

import os
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error

from chatapi.engines.registry import ModelsFileError, ModelSpec, load_models

DATABASE_ENGINES = {"django.db.backends.sqlite3", "django.db.backends.postgresql"}


def check_models_file(**_: Any) -> list[CheckMessage]:
    try:
        specs = load_models(settings.CHATAPI_MODELS_FILE)
    except ModelsFileError as error:
        return [
            Error(
                f"The models file cannot be used: {error}",
                hint="Mend the file that CHATAPI_MODELS_FILE names, or unset it to serve the local model.",
                id="chatapi.E001",
            )
        ]
    return [*_missing_keys(specs), *_missing_local_engine(specs)]


def _missing_keys(specs: Iterable[ModelSpec]) -> Iterator[CheckMessage]:
    for spec in specs:
        if spec.api_key_env and not os.environ.get(spec.api_key_env):
            yield checks.Warning(
                f"The model {spec.id!r} takes its key from {spec.api_key_env}, which is not set.",
                hint=f"Set {spec.api_key_env}, or leave api_key_env out if the upstream wants no key.",
                id="chatapi.W001",
            )


def _missing_local_engine(specs: Iterable[ModelSpec]) -> Iterator[CheckMessage]:
    local = [spec.id for spec in specs if spec.engine == "local"]
    if local and find_spec("xllamacpp") is None:
        yield checks.Warning(
            f"The model {local[0]!r} needs the package xllamacpp, which is not installed.",
            hint="Install requirements/run.txt, or set CHATAPI_MODELS_FILE to a file without local models.",
            id="chatapi.W003",
        )


def check_data_dir(**_: Any) -> list[CheckMessage]:
    folder = Path(settings.DATA_DIR)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"The data folder {folder} cannot be written.",
            hint="Give this user the right to write there, or set CHATAPI_DATA_DIR to another folder.",
            id="chatapi.E002",
        )
    ]


def check_database_engine(**_: Any) -> list[CheckMessage]:
    engine = settings.DATABASES["default"]["ENGINE"]
    if engine in DATABASE_ENGINES:
        return []
    return [
        Error(
            f"The database engine {engine} is not supported.",
            hint="Set DATABASE_URL to postgresql://… or sqlite:///…, or unset it to use SQLite.",
            id="chatapi.E003",
        )
    ]


def check_cors_origins(**_: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{origin!r} in CHATAPI_CORS_ORIGINS is no origin.",
            hint="Write scheme and host, such as https://chat.example.com, without a path; or * for all.",
            id="chatapi.E004",
        )
        for origin in settings.CHATAPI_CORS_ORIGINS
        if origin != "*" and not _is_origin(origin)
    ]


def _is_origin(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.netloc) and text == f"{url.scheme}://{url.netloc}"


def check_worker(**_: Any) -> list[CheckMessage]:
    if not settings.CELERY_BROKER_URL.startswith("memory://") or settings.CHATAPI_EMBEDDED_WORKER:
        return []
    return [
        checks.Warning(
            "Background tasks go to the in-memory broker, but no worker runs in this process.",
            hint="Set CELERY_BROKER_URL to redis://… or amqp://…, or CHATAPI_EMBEDDED_WORKER=1.",
            id="chatapi.W002",
        )
    ]


def check_hosts(**_: Any) -> list[CheckMessage]:
    if not settings.HTTPS or "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        checks.Warning(
            "Every host name is served, though the service stands behind HTTPS under a name of its own.",
            hint="Set CHATAPI_ALLOWED_HOSTS to that name.",
            id="chatapi.W004",
        )
    ]


ALL = [
    check_models_file,
    check_data_dir,
    check_database_engine,
    check_cors_origins,
    check_worker,
    check_hosts,
]
