"""Numbered system checks for bad configuration, which say how to fix it.

E001 models file         E002 data folder      E003 database engine     E004 CORS origins
E005 Redis               E006 trusted proxies  E007 model of titles
W001 a key is not set    W002 no worker        W003 no local engine     W004 hosts
W005 no price            W006 no limit on what a call costs
W007 whose address?      W008 no HTTPS         W009 no mail server    W010 local model of titles
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.db import DatabaseError, transaction
from django.utils import timezone
from redis.connection import parse_url

from accounts.client_address import is_address_known, unusable_proxies
from accounts.sign_in.mail import LOG_BACKEND
from billing.prices import current_tariffs
from chatapi.completions.usage_bounds import DEFAULT_OUTPUT_LIMIT
from chatapi.env import env
from chatapi.model_loading import read_models
from engines.model_spec import ModelSpec
from engines.models_file import ModelsFileError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DATABASE_ENGINES = {"django.db.backends.sqlite3", "django.db.backends.postgresql"}


def check_models_file(databases: Sequence[str] | None = None, **_: Any) -> Iterator[CheckMessage]:
    try:
        specs = read_models(settings.CHATAPI_MODELS_FILE)
    except ModelsFileError as error:
        yield Error(
            f"The models file cannot be used: {error}",
            hint="Mend the file that CHATAPI_MODELS_FILE names, or unset it to serve the local model.",
            id="chatapi.E001",
        )
        return
    priced = _priced_in_price_book(specs) if databases else set()
    yield from _missing_keys(specs)
    yield from _missing_local_engine(specs)
    yield from _missing_prices(specs, priced)
    yield from _missing_bounds(specs, priced)


def check_title_model(**_: Any) -> Iterator[CheckMessage]:
    named = settings.CHATAPI_TITLE_MODEL
    try:
        found = {spec.id: spec for spec in read_models(settings.CHATAPI_MODELS_FILE)}.get(named or "")
    except ModelsFileError:  # E001 says so
        return
    if named and found is None:
        yield Error(
            f"CHATAPI_TITLE_MODEL={named!r} is no model of the models file.",
            hint="Name one that is, or unset it: then titles are the first words of conversations.",
            id="chatapi.E007",
        )
    elif found and found.engine == "local" and not settings.CHATAPI_EMBEDDED_WORKER:
        yield checks.Warning(
            f"No worker can ask the local model {named!r} for titles: it runs beside the server.",
            hint="Set CHATAPI_EMBEDDED_WORKER=1, or CHATAPI_TITLE_MODEL to a model of another server.",
            id="chatapi.W010",
        )


def _missing_keys(specs: Iterable[ModelSpec]) -> Iterator[CheckMessage]:
    for spec in specs:
        if spec.api_key_env and not env(spec.api_key_env):
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


def _missing_prices(specs: Iterable[ModelSpec], priced: set[str]) -> Iterator[CheckMessage]:
    models = [spec.id for spec in specs if not spec.is_local and spec.price is None and spec.id not in priced]
    if models:
        consequences = {
            "refuse": "calls of such models are refused",
            "record": "calls of such models are answered, recorded as unpriced, and not billed",
        }
        yield checks.Warning(
            f"Without a price in the models file: {_join_ids(models)}. Where the price book has none either, "
            f"{consequences[settings.CHATAPI_UNPRICED]}.",
            hint="Write `price` into the models file, add a price in the admin site, or run `manage.py "
            "import_prices`. `manage.py check --database default` looks into the price book, too.",
            id="chatapi.W005",
        )


def _missing_bounds(specs: Iterable[ModelSpec], priced: set[str]) -> Iterator[CheckMessage]:
    models = [
        spec.id
        for spec in specs
        if (isinstance(spec.price, Mapping) or spec.id in priced)
        and not spec.max_output_tokens
        and not spec.context_length
    ]
    if models:
        yield checks.Warning(
            f"Nothing bounds what an answer costs: {_join_ids(models)}. Calls that set no limit are held to "
            f"{DEFAULT_OUTPUT_LIMIT:,} tokens, and that much is held for each.",
            hint="Write max_output_tokens, context_length or both into the models file.",
            id="chatapi.W006",
        )


def _priced_in_price_book(specs: Iterable[ModelSpec]) -> set[str]:
    """Return the models that have a price in force now, if there is a price book."""
    models = [spec.id for spec in specs if not spec.is_local and spec.price is None]
    try:
        with transaction.atomic():
            return set(current_tariffs(models, timezone.now()))
    except DatabaseError:  # the first start: there are no tables yet
        return set()


def _join_ids(models: Sequence[str]) -> str:
    others = f" and {len(models) - 5} others" if len(models) > 5 else ""
    return ", ".join(map(repr, models[:5])) + others


def check_data_dir(**_: Any) -> Iterator[CheckMessage]:
    folder = Path(settings.DATA_DIR)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        yield Error(
            f"The data folder {folder} cannot be written.",
            hint="Give this user the right to write there, or set CHATAPI_DATA_DIR to another folder.",
            id="chatapi.E002",
        )


def check_database_engine(**_: Any) -> Iterator[CheckMessage]:
    engine = settings.DATABASES["default"]["ENGINE"]
    if engine not in DATABASE_ENGINES:
        yield Error(
            f"The database engine {engine} is not supported.",
            hint="Set DATABASE_URL to postgresql://… or sqlite:///…, or unset it to use SQLite.",
            id="chatapi.E003",
        )


def check_cors_origins(**_: Any) -> Iterator[CheckMessage]:
    for origin in settings.CHATAPI_CORS_ORIGINS:
        if origin != "*" and not _is_origin(origin):
            yield Error(
                f"{origin!r} in CHATAPI_CORS_ORIGINS is no origin.",
                hint="Write scheme and host, such as https://chat.example.com, without a path; or * for all.",
                id="chatapi.E004",
            )


def _is_origin(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.netloc) and text == f"{url.scheme}://{url.netloc}"


def check_redis_url(**_: Any) -> Iterator[CheckMessage]:
    try:
        if settings.REDIS_URL:
            parse_url(settings.REDIS_URL)  # type: ignore[no-untyped-call]
    except ValueError:  # its text may contain the password
        yield Error(
            "REDIS_URL is not the address of a Redis.",
            hint="Write redis://USER:PASSWORD@HOST:6379/0, rediss://… or unix:///PATH, or unset it.",
            id="chatapi.E005",
        )


def check_trusted_proxies(**_: Any) -> Iterator[CheckMessage]:
    for proxy in unusable_proxies():
        yield Error(
            f"{proxy!r} in CHATAPI_TRUSTED_PROXIES is no address.",
            hint="Write addresses or networks, such as 10.0.0.7 or 10.0.0.0/24; or the word none without a "
            "proxy.",
            id="chatapi.E006",
        )


def check_worker(**_: Any) -> Iterator[CheckMessage]:
    if settings.CELERY_BROKER_URL.startswith("memory://") and not settings.CHATAPI_EMBEDDED_WORKER:
        yield checks.Warning(
            "Background tasks go to the in-memory broker, but no worker runs in this process.",
            hint="Set CELERY_BROKER_URL to redis://… or amqp://…, or CHATAPI_EMBEDDED_WORKER=1.",
            id="chatapi.W002",
        )


def check_hosts(**_: Any) -> Iterator[CheckMessage]:
    sends_links = settings.EMAIL_BACKEND != LOG_BACKEND or settings.CHATAPI_SIGN_UP != "closed"
    if "*" in settings.ALLOWED_HOSTS and (settings.HTTPS or sends_links):
        yield checks.Warning(
            "Every host name is served. So no mail with a link is sent: it would lead wherever a request "
            "claims.",
            hint="Set CHATAPI_ALLOWED_HOSTS to the names of this service.",
            id="chatapi.W004",
        )


def check_client_addresses(**_: Any) -> Iterator[CheckMessage]:
    if _is_reached_from_elsewhere() and not is_address_known():
        yield checks.Warning(
            "It is not known from which address anybody comes: behind a proxy all have the proxy's. So "
            "neither failed sign-ins nor the use of keys is watched by address.",
            hint="Set CHATAPI_TRUSTED_PROXIES to the addresses of the proxies in front, or to the word none "
            "where clients connect directly.",
            id="chatapi.W007",
        )


def check_https(**_: Any) -> Iterator[CheckMessage]:
    if not settings.HTTPS and not _listens_on_loopback():
        yield checks.Warning(
            f"HOST={env('HOST')} serves other machines without HTTPS: whoever is between reads their "
            "passwords and keys.",
            hint="Put a proxy with HTTPS in front (deploy/nginx.conf) and set CHATAPI_HTTPS=1.",
            id="chatapi.W008",
        )


def check_mail_server(**_: Any) -> Iterator[CheckMessage]:
    if settings.CHATAPI_SIGN_UP != "closed" and settings.EMAIL_BACKEND == LOG_BACKEND:
        yield checks.Warning(
            "People may sign up, but there is no mail server to send them the links that this takes.",
            hint="Set CHATAPI_EMAIL_URL, such as smtp+tls://USER:PASSWORD@HOST:587, and try `manage.py "
            "send_test_mail ADDRESS`.",
            id="chatapi.W009",
        )


def _is_reached_from_elsewhere() -> bool:
    return bool(settings.HTTPS) or not _listens_on_loopback()


def _listens_on_loopback() -> bool:
    return env("HOST", LOOPBACK[0]) in LOOPBACK


ALL_CHECKS = [
    check_client_addresses,
    check_https,
    check_mail_server,
    check_models_file,
    check_title_model,
    check_data_dir,
    check_database_engine,
    check_cors_origins,
    check_redis_url,
    check_trusted_proxies,
    check_worker,
    check_hosts,
]
