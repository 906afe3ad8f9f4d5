"""A wrong variable ends the start with one line; an empty one counts as absent."""

import re
from collections.abc import Callable
from functools import partial

import pytest
from django.views.debug import get_exception_reporter_filter
from pytest_django import Settings

from chatapi.env import (
    env,
    env_choice,
    env_flag,
    env_int,
    env_list,
    env_mail_server,
    env_nano_usd,
    env_secret,
    env_url,
)
from core.redaction import redact

Reader = Callable[[str], object]


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (env, " x ", "x"),
        (partial(env, default="x"), " ", "x"),
        (env_flag, "Yes", True),
        (partial(env_flag, default=True), "", True),
        (partial(env_int, default=8), "", 8),
        (partial(env_int, default=8), "0", 0),
        (lambda name: env_choice(name, "refuse", "record"), "RECORD", "record"),
        (env_list, "a, b,,", ["a", "b"]),
        (partial(env_nano_usd, default="0"), "none", None),
        (env_secret, " sk-up-123 \n", "sk-up-123"),
        (env_secret, " ", ""),
        (partial(env_url, default="memory://"), " ", "memory://"),
        (env_url, "redis://:hunter2-17@h/0\n", "redis://:hunter2-17@h/0"),
    ],
)
def test_a_variable_is_read(read: Reader, text: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATAPI_X", text)

    assert read("CHATAPI_X") == value


@pytest.mark.parametrize(
    ("read", "text", "line"),
    [
        (env_flag, "maybe", "chatapi: CHATAPI_X='maybe' is neither true nor false"),
        (partial(env_int, default=8), "-1", "chatapi: CHATAPI_X='-1' is not a whole number"),
        (partial(env_int, default=8), "٣", "chatapi: CHATAPI_X='٣' is not a whole number"),
        (partial(env_int, default=8, least=1), "0", "chatapi: CHATAPI_X='0' is below 1"),
        (lambda name: env_choice(name, "a", "b"), "c", "chatapi: CHATAPI_X='c' is none of a, b"),
        (partial(env_nano_usd, default="0"), "-1", "chatapi: CHATAPI_X='-1' is negative"),
    ],
)
def test_a_wrong_variable_is_one_line(
    read: Reader, text: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_X", text)

    with pytest.raises(SystemExit, match=re.escape(line)):
        read("CHATAPI_X")


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (env_secret, "sk-first\nsk-second"),
        (env_secret, "sk-\x1b[0m"),
        (env_secret, "sk-schl\u00fcssel"),
        (env_url, "redis://:sk-first\n@h/0"),
        (env_mail_server, "smtp://user:sk-first\r\n@h"),
    ],
)
def test_a_secret_that_cannot_be_one_is_named_and_not_shown(
    read: Reader, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_X", text)

    with pytest.raises(SystemExit, match=r"^chatapi: CHATAPI_X has .*") as refused:
        read("CHATAPI_X")

    assert "sk-" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:1234/restS3cretPw@127.0.0.1:1/x",
        "postgres://u:1234/rest?S3cretPw=1@127.0.0.1:1/x",
        "postgres://u:p@12/restS3cretPw@127.0.0.1:1/x",
        "redis://u:34/ss99wordS3cretPw@127.0.0.1:1/0",
        "redis://:34?S3cretPw@h",
        "redis://34#S3cretPw@h/0",
        "sqs://AKIA12:ab/S3cretPw@",
        "smtp+tls://me@x.example:1/S3cretPw@h:587",
        "sentinel://:pw-0@h1:26379;sentinel://:1/S3cretPw@h2:26379",
    ],
)
def test_a_password_that_is_not_escaped_is_refused_and_not_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_X", url)

    with pytest.raises(SystemExit, match=r"^chatapi: CHATAPI_X .*percent-encoded.*%2F") as refused:
        env_url("CHATAPI_X")

    assert "S3cretPw" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////home/me@work/x.sqlite3",
        "sqlite:///me/x@y",
        "redis+socket:///run/me@work/redis.sock",
        "postgres://u:12%2F34%40@h:5432/x",
        "postgres://u:p@ss-word-1@h:5432/x",
        "postgres://u:pw-1@h/x?application_name=me@h.example",
        "redis://h:6379/0?client_name=me@h&health_check_interval=5",
        "redis://h:6379/0?ssl_ca_certs=/etc/ca.pem&client_name=me@h",
        "sentinel://:pw-0@h1:26379/0;sentinel://:pw-0@h2:26379/0",
        "amqp://u:pw-1@h//",
        "https://api.example/",
    ],
)
def test_an_at_sign_that_ends_no_password_may_stay(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATAPI_X", url)

    assert env_url("CHATAPI_X") == url


@pytest.mark.parametrize(
    ("read", "text", "secret"),
    [
        (env_url, "redis://me:it's<0dd@h/0", "it's<0dd"),
        (env_secret, "s3cret-of-stripe", "s3cret-of-stripe"),
        (env_url, "amqp://me:br0ker-word@h//", "br0ker-word"),
        (env_mail_server, "smtp://me:m%40il-word-7@h", "m@il-word-7"),
    ],
)
def test_what_was_read_is_masked(
    read: Reader, text: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPI_X", text)
    read("CHATAPI_X")
    assert redact(f"It is {secret}.") == "It is ***."


def test_the_page_for_debugging_hides_addresses_with_passwords(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = settings.REDIS_URL = "redis://:hunter2@h"
    shown = get_exception_reporter_filter(None).get_safe_settings()
    assert "hunter2" not in str(shown)
