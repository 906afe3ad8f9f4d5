"""Secrets are masked in every spelling, and the words, models and ids around them stay."""

import json
import logging
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from string import ascii_letters, digits
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.known_secrets import KNOWN_SECRETS, KnownSecrets
from core.redaction import RedactingFormatter, redact

KEY = "sk-up-q7Zk2mXv9LtR4wYb8f123"
ODD_KEY = 'a+key/with="odd&chars\\0815'


def known_keys(*keys: str) -> KnownSecrets:
    known = KnownSecrets()
    for key in keys:
        known.add(key)
    return known


def basic(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "said",
    [
        KEY,
        KEY.upper(),
        KEY.lower(),
        f"'{KEY}'",
        f"Bearer {KEY}",
        f"Bearer%20{KEY}",
        quote(ODD_KEY, safe=""),
        quote(ODD_KEY, safe="").lower(),
        ODD_KEY,
        json.dumps(ODD_KEY),
        json.dumps(json.dumps({"key": KEY})),
        KEY.replace("-", "\\u002d"),
        KEY.replace("-", "&#45;"),
        ODD_KEY.replace("&", "&amp;").replace('"', "&quot;"),
        f"Basic {basic(f'user:{KEY}')}",
        basic(f"{KEY}:"),
        basic(f":{KEY}"),
        basic(f"ab:{KEY}"),
        f"{KEY[:8]}***********{KEY[-4:]}",
        f"{KEY[:5]}***{KEY[-4:]}",
        f"{KEY[:7]}...{KEY[-4:]}",
        f"{KEY[:5]}…{KEY[-3:]}",
        f"{KEY[:5]}••••{KEY[-3:]}",
        f"{KEY[:9]}…",
        KEY[:-3],
        KEY[-12:],
        KEY[6:18],
        ODD_KEY[-12:],
    ],
)
def test_a_key_of_our_own_is_masked_in_any_spelling(said: str) -> None:
    text = redact(f"I was sent {said}, which is wrong.", known_keys(KEY, ODD_KEY))

    assert text.startswith("I was sent ")
    assert text.endswith(", which is wrong.")
    left = text.removeprefix("I was sent ").removesuffix(", which is wrong.")
    assert "***" in left
    assert (
        len(left.replace("***", "").replace("Bearer", "").replace("Basic", "").strip(" =\"'%20\\{}:key")) < 2
    )


@pytest.mark.parametrize("key", [KEY, "8f3a9b2c77", "k3y"])
@pytest.mark.parametrize("quoted", ["b'{}\\n'", "user:{}", "one\\n{}\\ntwo", "/{}/", "<{}>", "{}.", "key={}"])
def test_a_key_is_masked_whatever_stands_beside_it(quoted: str, key: str) -> None:
    text = redact(quoted.format(key), known_keys(key))
    assert "***" in text
    assert key not in text


PUBLIC_STARTS = ["", "sk-", "sk-proj-", "sk-ant-api03-", "sk-or-v1-", "gsk_", "xai-", "AIzaSy", "acme_live2_"]
secret_texts = st.text(alphabet=ascii_letters + digits, min_size=24, max_size=48)
mixed_texts = secret_texts.filter(lambda text: any(map(str.isdigit, text[:12])) and text[-1].isdigit())


@given(st.sampled_from(PUBLIC_STARTS), mixed_texts, st.data())
def test_a_long_start_or_end_of_a_key_never_comes_through(
    start: str, secret: str, data: st.DataObject
) -> None:
    length = data.draw(st.integers(12, len(secret)))
    known = known_keys(start + secret)
    for part in (start + secret[:length], secret[:length], secret[-length:]):
        assert redact(f"({part})", known) == "(***)"


@given(st.sampled_from(PUBLIC_STARTS), secret_texts, st.data())
def test_the_next_character_of_a_key_cannot_be_guessed(start: str, secret: str, data: st.DataObject) -> None:
    """Whatever is known of a key, a guess of up to eleven characters comes back as if there were no key."""
    key, known = start + secret, known_keys(start + secret)
    at = data.draw(st.integers(0, len(secret) - 12))
    for right in (start + secret[:11], secret[at : at + 11], secret[at : at + 8], secret[-11:]):
        for guess in (right, right[:-1] + "0", right[:-1] + "z"):
            for spelled in (guess, guess.lower(), guess.upper(), basic(guess), f"{guess[:4]}...{guess[-4:]}"):
                text = f"In context=('properties', '{spelled}')"
                assert redact(text, known) == redact(text, KnownSecrets()), key


@pytest.mark.parametrize("constant", ["T3BlbkFJ", "WGdyb3FY"])
def test_what_all_keys_of_a_provider_hold_is_no_help(constant: str) -> None:
    known = known_keys(f"org-ab12cd34ef56{constant}12ab34cd56ef")
    assert redact(f"ab12cd34ef56 {constant}12ab 56{constant} f56{constant}12ab34cd", known) == (
        f"*** {constant}12ab 56{constant} f56{constant}12ab34cd"
    )


def test_how_much_is_masked_does_not_tell_how_much_was_right() -> None:
    known = known_keys("q7Zk2mXv9LtR4wYb8f123abc")
    for guess in (
        "q7Zk2mXv9LtR",
        "q7Zk2mXv9LtR4wYb8",
        "q7Zk2mXv9LtR4wXXX",
        "00q7Zk2mXv9LtR",
        "q7Zk2mXv9LtR.x/y+z==",
    ):
        assert redact(f"<{guess}>", known) == "<***>"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abc123DEF456ghi789",
        "sk-proj-Ab12_cd-Ef34",
        "sk-ant-api03-xxxx_YYYY-1234",
        "sk_live_51H8abcdefghijkl",
        "AIzaSyD4-abcdefghijklmnop_123456789",
        "gsk_abcDEF123456789",
        "xai-abcDEF1234567890",
        "hf_AbCdEfGhIjKlMnOp",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnop1234",
        "github_pat_11ABCDEFG0_abcdefgh",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.abc-DEF_123",
        "sk-a***************wxyz",
        "AIza...wxyz",
    ],
)
def test_keys_of_others_are_told_by_their_shape(secret: str) -> None:
    assert redact(f"The key {secret} is wrong.") == "The key *** is wrong."
    assert redact(f'{{"key":"{secret}"}}') == '{"key":"***"}'


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcdef", "Authorization: Bearer ***"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic ***"),
        ("{'Authorization': 'Bearer abc123'}", "{'Authorization': 'Bearer ***'}"),
        ("sent Bearer 8f3a-22bc as token", "sent Bearer *** as token"),
        ("x-api-key: foobar", "x-api-key: ***"),
        ("X-Api-Key=foobar;", "X-Api-Key=***;"),
        ("api_key=abc and more", "api_key=*** and more"),
        ('"api_key": "abcdefgh", "n": 1', '"api_key": "***", "n": 1'),
        ('{\\"apiKey\\": \\"abcdefgh\\"}', '{\\"apiKey\\": \\"***\\"}'),
        ("password=hunter2 for user", "password=*** for user"),
        ("https://user:pass@host/v1", "https://***@host/v1"),
        ("redis://:pass@host:6379/0", "redis://***@host:6379/0"),
        ("https://host/v1?key=abc&alt=json", "https://host/v1?key=***&alt=json"),
        ("https://host/v1?alt=json&api-key=abc", "https://host/v1?alt=json&api-key=***"),
        ("s3://b/o?X-Amz-Signature=0f3e&x=1", "s3://b/o?X-Amz-Signature=***&x=1"),
        ("Incorrect API key provided: 8f3a9b2c77.", "Incorrect API key provided: ***."),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\nvQIB\n-----END PRIVATE KEY-----", "***"),
    ],
)
def test_secrets_are_told_by_what_stands_before_them(text: str, masked: str) -> None:
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "The model `gpt-4o-2024-08-06` does not exist or you do not have access to it.",
        "claude-3-5-sonnet-20241022, meta-llama/Llama-3.3-70B-Instruct, pplx-70b-online",
        "request id req_011CSHoEeqs5C35K2UUqR7Fy, chatcmpl-9abcDEF123, resp_67ccd2bed1ec8190b14f964abc054267",
        "id 550e8400-e29b-41d4-a716-446655440000, org-AbCdEf, 2026-11-29T12:00:00Z, sha256:9f86d081884c7d65",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.",
        "You didn't provide an API key. See https://platform.openai.com/account/api-keys.",
        "Bearer token required. Basic authentication failed. Bearer realm.",
        "api_key: field required; password: missing; Authorization: required",
        "expected keys: role12345, content",
        "Unexpected token: <html>. Invalid token: foo. max_tokens: 4096, max_tokens=4096",
        'password authentication failed for user "chatapi"',
        "module hf_hub_download, task-force, sk-learn, 1...10, and so on...then, **bold**",
        "Write to operator@example.com or look at https://example.com/@user",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text, known_keys(KEY)) == text


@pytest.mark.parametrize(
    ("placeholder", "text"),
    [
        *((word, f"The input is {word}.") for word in ("EMPTY", "none", "x", "guest", "1")),
        ("sk-no-key-required", "'messages' is a required property"),
        ("sk-no-key-required", "No key is required: sk-no-key-required"),
        ("local-model-server", "local-model, local-model-server"),
        ("password", "wrong password for user"),
        ("postgres", 'role "postgres" does not exist'),
        ("your_openai_api_key_here", "OPENAI_API_KEY is not set"),
        ("<YOUR_API_KEY>", "YOUR_API_KEY"),
        ("acme-language-gateway", "acme-language, language-gateway, my-acme-language-gateway"),
        ("acme-language-gateway-2", "acme-language-gateway, acme-language"),
    ],
)
def test_words_that_serve_as_keys_hide_no_text(placeholder: str, text: str) -> None:
    assert redact(text, known_keys(placeholder)) == text


def test_a_key_of_words_is_masked_as_a_whole() -> None:
    known = known_keys("acme-language-gateway")
    assert redact("It is Acme-Language-Gateway.", known) == "It is ***."


def test_a_short_key_and_a_password_are_masked_where_they_stand_alone() -> None:
    known = known_keys("k3y", "postgres-2")
    assert (
        redact("k3y, K3Y, k3ys, postgres-2, postgres-21, postgres", known)
        == "***, ***, k3ys, ***, postgres-21, postgres"
    )


def test_the_secrets_of_an_address_are_remembered() -> None:
    known = KnownSecrets()
    known.add_url("https://user:p%40ss-word-1@host/v1?api-key=0123abcd&api-version=2024-02-01")
    assert redact("p@ss-word-1, p%40ss-word-1, 0123ABCD, 2024-02-01", known) == "***, ***, ***, 2024-02-01"


@pytest.mark.parametrize(
    "password", ["12/s3cret-word-1", "12#s3cret-word-1", "1?s3cret-word-1", '1"s3cret-word-1']
)
def test_a_password_is_remembered_up_to_the_last_at_sign(password: str) -> None:
    known = KnownSecrets()
    known.add_url(f"https://user:{password}@host/v1")
    assert redact(f"It is {password}, or s3cret-word-1@host.", known) == "It is ***, or ***@host."


def test_an_at_sign_in_a_path_makes_no_secret_of_the_host() -> None:
    known = KnownSecrets()
    known.add_url("https://host.example/v1/@cf/model-2024", user_is_secret=True)
    assert redact("host.example/v1/", known) == "host.example/v1/"


def test_a_user_without_a_password_is_a_key_only_where_keys_are_written_so() -> None:
    known = KnownSecrets()
    known.add_url("postgres://chat-2@host/db")
    assert redact("chat-2", known) == "chat-2"
    known.add_url("https://chat-2@host/v1", user_is_secret=True)
    assert redact("chat-2", known) == "***"


@example("*1***")
@given(st.text(alphabet="sk-ABab12:=*./@ ?&eyJ\"'\\", max_size=60))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    known = known_keys("sk-ABab12")
    assert redact(redact(text, known), known) == redact(text, known)


def hostile_texts() -> Iterator[str]:
    for piece in (
        "a",
        "sk-",
        "://",
        "key ",
        "api_key",
        "a-",
        "*",
        "bearer ",
        "eyJ",
        "%41",
        "?code=",
        "a..b",
        "=:",
    ):
        yield piece * (20_000 // len(piece))


def test_no_text_takes_long() -> None:
    known = known_keys(KEY)
    begun = time.process_time()
    for text in hostile_texts():
        redact(text, known)
    assert time.process_time() - begun < 10  # what is quadratic would take longer


def test_log_lines_and_tracebacks_are_masked() -> None:
    KNOWN_SECRETS.add(KEY)
    formatter = RedactingFormatter("%(levelname)s %(message)s")
    try:
        raise ValueError(f"Invalid header value b'Bearer {KEY}'")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "It sent %s", (KEY,), sys.exc_info())

    line = formatter.format(record)

    assert line.startswith("ERROR It sent ***\nTraceback")
    assert "ValueError: Invalid header value b'Bearer ***'" in line
    assert KEY not in line
