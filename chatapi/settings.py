"""Django settings. Everything an operator may change is an environment variable: docs/operating.md."""

import os
import secrets
import sys
from pathlib import Path
from typing import Any

from kombu import Queue

from chatapi.celery_options import every, transport_options
from chatapi.database_settings import databases
from chatapi.env import (
    ROOT,
    data_dir,
    env,
    env_choice,
    env_flag,
    env_int,
    env_list,
    env_mail_server,
    env_nano_usd,
    env_secret,
    env_url,
    models_file,
)
from chatapi.serving.data_folder import read_secret
from chatapi.serving.exceptions import CannotStart
from chatapi.serving.log_filters import is_worth_logging
from chatapi.sign_in_settings import *  # noqa: F403
from chatapi.sign_in_settings import SIGN_IN_APPS
from chatapi.storage_settings import storages
from core.known_secrets import KNOWN_SECRETS
from media.processing.sandbox.pools import FILES_THREADS, RECOGNITION_THREADS, SYNTHESIS_THREADS

os.umask(0o077)  # first: whatever a process of the service writes is for its own user alone

BASE_DIR = ROOT
DATA_DIR = data_dir()


def _secret_key() -> str:
    """Return the configured key, or the one that the first start keeps with the data; before it, any."""
    try:
        key = env_secret("CHATAPI_SECRET_KEY") or read_secret(DATA_DIR) or secrets.token_urlsafe(64)
    except CannotStart as reason:
        raise SystemExit(f"chatapi: {reason}") from None
    except OSError as error:
        raise SystemExit(
            f"chatapi: cannot read {error.filename} (CHATAPI_DATA_DIR): {error.strerror}. "
            "Is this the user that the service runs as?"
        ) from error
    KNOWN_SECRETS.add(key)
    return key


def _allowed_hosts() -> list[str]:
    loopback = {"localhost", "127.0.0.1", "[::1]"}
    host = env("HOST", "127.0.0.1")
    return env_list("CHATAPI_ALLOWED_HOSTS") or (
        sorted(loopback) if host in {"localhost", "127.0.0.1", "::1"} else ["*"]
    )


SECRET_KEY = _secret_key()
DEBUG = env_flag("CHATAPI_DEBUG")
ALLOWED_HOSTS = _allowed_hosts()

INSTALLED_APPS = [
    # first: it drives runserver, and is a quarter of what any process imports
    *(["daphne"] if "runserver" in sys.argv else []),
    "accounts.sign_in.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "chatapi",
    "accounts",  # its templates come before those of allauth
    *SIGN_IN_APPS,
    "billing",
    "conversations",
    "media",
]

MIDDLEWARE = [
    "chatapi.middleware.security_headers.SecurityHeadersMiddleware",  # around all: every response has them
    "chatapi.middleware.error_envelope.ErrorEnvelopeMiddleware",  # it sees the refusals of those below
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "accounts.sign_in.malformed_input.MalformedInputMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.sign_in.known_browsers.KnownBrowserMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "chatapi.urls"
ASGI_APPLICATION = "chatapi.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.sign_in.context_processors.sign_in",
            ],
        },
    },
]

# --- data ---------------------------------------------------------------------------------------

DATABASES = databases(DATA_DIR)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

STORAGES = storages(DATA_DIR)
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # served from the packages: no collectstatic

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# --- the API ------------------------------------------------------------------------------------

CHATAPI_MODELS_FILE: Path | None = models_file()
CHATAPI_MAX_BODY_BYTES = env_int("CHATAPI_MAX_BODY_BYTES", 32 * 1024 * 1024)
CHATAPI_HEAD_SECONDS = env_int("CHATAPI_HEAD_SECONDS", 30)
CHATAPI_BODY_SECONDS = env_int("CHATAPI_BODY_SECONDS", 120)
CHATAPI_MAX_UPLOAD_BYTES = env_int("CHATAPI_MAX_UPLOAD_BYTES", 128 * 1024 * 1024)
CHATAPI_MEDIA_QUOTA_BYTES = env_int("CHATAPI_MEDIA_QUOTA_BYTES", 20 * 1024**3)
CHATAPI_MEDIA_WAIT_SECONDS = env_int("CHATAPI_MEDIA_WAIT_SECONDS", 300)
CHATAPI_MEDIA_URL_SECONDS = env_int("CHATAPI_MEDIA_URL_SECONDS", 3600)
CHATAPI_PICTURE_PIXELS = env_int("CHATAPI_PICTURE_PIXELS", 50_000_000)
CHATAPI_PICTURE_SIDE = env_int("CHATAPI_PICTURE_SIDE", 2048)
CHATAPI_PICTURE_BYTES = 4 * 1024 * 1024
CHATAPI_THUMBNAIL_SIDE = 256
CHATAPI_SOUND_SECONDS = env_int("CHATAPI_SOUND_SECONDS", 2 * 3600)
CHATAPI_SPEECH_KEPT_SECONDS = env_int("CHATAPI_SPEECH_KEPT_SECONDS", 3600)
CHATAPI_VOICES_FOLDER = env("CHATAPI_VOICES_FOLDER") or None
CHATAPI_RECOGNITION_MODEL = env("CHATAPI_RECOGNITION_MODEL") or None
CHATAPI_RECOGNIZER = "media.transcription.recognize"
CHATAPI_FETCH_NETWORKS = env_list("CHATAPI_FETCH_NETWORKS")
CHATAPI_CORS_ORIGINS = env_list("CHATAPI_CORS_ORIGINS")
CHATAPI_DELETED_KEPT_DAYS = env_int("CHATAPI_DELETED_KEPT_DAYS", 30, most=36_500)
CHATAPI_REQUESTS_KEPT_DAYS = env_int("CHATAPI_REQUESTS_KEPT_DAYS", 14, most=3_650)
CHATAPI_REQUESTS_KEPT = env_int("CHATAPI_REQUESTS_KEPT", 1_000_000, least=1)
CHATAPI_TITLE_MODEL = env("CHATAPI_TITLE_MODEL") or None
CHATAPI_TITLES_PER_DAY = env_int("CHATAPI_TITLES_PER_DAY", 1000)
CHATAPI_KEEP_ALIVE_SECONDS = env_int("CHATAPI_KEEP_ALIVE_SECONDS", 5)
CHATAPI_EMBEDDED_WORKER = env_flag("CHATAPI_EMBEDDED_WORKER", default=True)
CHATAPI_SHUTDOWN_SECONDS = env_int("CHATAPI_SHUTDOWN_SECONDS", 10)

# Django's own views take forms, never a completion's body; none is spooled to disk
DATA_UPLOAD_MAX_MEMORY_SIZE = FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.authentication.RequiredPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "core.http.exception_handler.exception_handler",
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Streaming Chat Completion API with Multimedia Support",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.0.3",
    "PREPROCESSING_HOOKS": [
        "chatapi.openapi.add_streaming_endpoints",
        "media.api.openapi.add_file_endpoints",
        "chatapi.audio.openapi.add_audio_endpoints",
    ],
    "POSTPROCESSING_HOOKS": [
        "chatapi.openapi.match_contract",
        "chatapi.openapi_texts.add_texts",
        "chatapi.openapi_sign_in.add_sign_in",
    ],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "COMPONENT_SPLIT_REQUEST": False,
}

# --- money --------------------------------------------------------------------------------------

CHATAPI_UNPRICED = env_choice("CHATAPI_UNPRICED", "refuse", "record")
CHATAPI_CREDIT_LIMIT = env_nano_usd("CHATAPI_CREDIT_LIMIT_USD", "0")
CHATAPI_END_USER_TOKEN_SPENDING = env_nano_usd("CHATAPI_END_USER_TOKEN_SPENDING_USD", "1")
STRIPE_API_KEY = env_secret("STRIPE_API_KEY")
CHATAPI_STRIPE_METER = env("CHATAPI_STRIPE_METER", "chatapi_cost")
CHATAPI_STRIPE_URL = env_url("CHATAPI_STRIPE_URL", "https://api.stripe.com")

# --- mail ---------------------------------------------------------------------------------------

ADMINS = [(address, address) for address in env_list("CHATAPI_ADMIN_EMAILS")]
_mail = env_mail_server("CHATAPI_EMAIL_URL")
EMAIL_HOST, EMAIL_PORT = _mail.host, _mail.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.user, _mail.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.uses_tls, _mail.uses_ssl
if not env("CHATAPI_EMAIL_URL"):
    EMAIL_BACKEND = "accounts.sign_in.mail.LogBackend"
EMAIL_TIMEOUT = 10
EMAIL_SUBJECT_PREFIX = "[chatapi] "
SERVER_EMAIL = DEFAULT_FROM_EMAIL = env("CHATAPI_EMAIL_FROM", "chatapi@localhost")

# --- limits -------------------------------------------------------------------------------------

# for workspaces without limits of their own; 0 means unlimited
CHATAPI_REQUESTS_PER_MINUTE = env_int("CHATAPI_REQUESTS_PER_MINUTE", 0)
CHATAPI_TOKENS_PER_MINUTE = env_int("CHATAPI_TOKENS_PER_MINUTE", 0)
CHATAPI_CONCURRENT_STREAMS = env_int("CHATAPI_CONCURRENT_STREAMS", 0)
CHATAPI_AUDIO_REQUESTS = env_int("CHATAPI_AUDIO_REQUESTS", 2, least=1)
CHATAPI_AUDIO_QUEUE = env_int("CHATAPI_AUDIO_QUEUE", 32, least=CHATAPI_AUDIO_REQUESTS)
# at least 3 files, since renditions of long sounds may take 2 and hold up all else
CHATAPI_FILE_JOBS = env_int("CHATAPI_FILE_JOBS", FILES_THREADS, least=3)
CHATAPI_RECOGNITION_JOBS = env_int("CHATAPI_RECOGNITION_JOBS", RECOGNITION_THREADS, least=1)
CHATAPI_SYNTHESIS_JOBS = env_int("CHATAPI_SYNTHESIS_JOBS", SYNTHESIS_THREADS, least=1)
REDIS_URL = env_url("REDIS_URL") or None

# --- background work ----------------------------------------------------------------------------

CELERY_BROKER_URL = env_url("CELERY_BROKER_URL", "memory://")
# no request waits longer for an unreachable broker; workers retry for as long as they live
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = transport_options(CELERY_BROKER_URL, CELERY_BROKER_CONNECTION_TIMEOUT)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SOFT_TIME_LIMIT = 270
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 30  # when other processes use all cores, Django takes seconds to start
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # a task run twice does its work once
CELERY_WORKER_ENABLE_PREFETCH_COUNT_REDUCTION = False  # a task's thread would do it, and hang
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_DEFAULT_ROUTING_KEY = "default"
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in ("default", "media", "awaited", "billing")]
CELERY_TASK_ROUTES = {
    "media.renditions.tasks.make_awaited": {"queue": "awaited"},  # no long queue delays an answer
    "media.renditions.tasks.make_overdue": {"queue": "default"},  # nor the task that repairs it
    "media.*": {"queue": "media"},
    "billing.*": {"queue": "billing"},
    "chatapi.tasks.reconcile": {"queue": "billing"},
    "chatapi.tasks.make_data_exports": {"queue": "media"},  # one may take long
    "chatapi.tasks.delete_expired_exports": {"queue": "media"},
    "conversations.tasks.purge_deleted_conversations": {"queue": "media"},
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "chatapi.celery_scheduler:Scheduler"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "settle-interrupted": every(15, "chatapi.tasks.settle_interrupted"),
    "post-settled": every(5, "billing.tasks.post_settled"),
    "alert-low-balances": every(300, "billing.tasks.alert_low_balances"),
    "alert-overdrawn": every(300, "billing.tasks.alert_overdrawn"),
    "alert-unpriced": every(300, "billing.tasks.alert_unpriced"),
    "mail-alerts": every(60, "billing.tasks.mail_alerts"),
    "export-meters": every(600, "billing.tasks.export_meters"),
    "export-late-meters": every(86_400, "billing.tasks.export_late_meters"),
    "reconcile": every(86_400, "chatapi.tasks.reconcile"),
    "make-statements": every(600, "billing.tasks.make_statements"),
    "make-overdue": every(15, "media.renditions.tasks.make_overdue"),
    "free-media": every(600, "media.tasks.free_media"),
    "remove-strays": every(86_400, "media.tasks.remove_strays"),
    "make-data-exports": every(60, "chatapi.tasks.make_data_exports"),
    "delete-expired-exports": every(3600, "chatapi.tasks.delete_expired_exports"),
    "delete-old-requests": every(600, "chatapi.tasks.delete_old_requests"),
    "make-overdue-titles": every(300, "conversations.tasks.make_overdue_titles"),
    "index-marked": every(1, "conversations.tasks.index_marked"),
    "purge-deleted-conversations": every(600, "conversations.tasks.purge_deleted_conversations"),
    "clear-sessions": every(86_400, "accounts.tasks.clear_sessions"),
    "clean-up-sign-in": every(3_600, "accounts.tasks.clean_up_sign_in"),
    "send-mail": every(5, "accounts.tasks.send_mail"),
    "delete-old-tokens": every(86_400, "accounts.tasks.delete_old_end_user_tokens"),
    "delete-old-security-events": every(86_400, "accounts.tasks.delete_old_security_events"),
}

# --- language, time, safety ---------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

HTTPS = env_flag("CHATAPI_HTTPS")
if HTTPS:
    SECURE_SSL_REDIRECT = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^livez$"]
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # a new key is never in a cookie
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
DEFAULT_EXCEPTION_REPORTER_FILTER = "chatapi.views.errors.SettingsFilter"
CSRF_FAILURE_VIEW = "chatapi.views.errors.csrf_failure"
CHATAPI_SECURITY_EVENT_DAYS = env_int("CHATAPI_SECURITY_EVENT_DAYS", 365, least=90, most=36_500)
CSRF_TRUSTED_ORIGINS = env_list("CHATAPI_CSRF_TRUSTED_ORIGINS")
X_FRAME_OPTIONS = "DENY"

LOG_LEVEL = env_choice("CHATAPI_LOG_LEVEL", "info", "debug", "warning", "error").upper()
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"news": {"()": "django.utils.log.CallbackFilter", "callback": is_worth_logging}},
    "formatters": {
        "line": {
            "()": "core.redaction.RedactingFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
        "json": {"format": "%(message)s"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        "calls": {"class": "logging.StreamHandler", "formatter": "json"},
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # nothing in them can be a secret, so they are not searched for any
        "chatapi.calls": {"handlers": ["calls"], "propagate": False},
        "django": {"level": "INFO"},
        "django.request": {"level": "ERROR", "filters": ["news"]},  # refusals are the client's concern
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # every port scan would log one
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
        "python_multipart": {"level": "ERROR"},  # a bad form is the client's concern
        "whitenoise": {"level": "WARNING"},
    },
}
