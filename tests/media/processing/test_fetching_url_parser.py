"""One strict parser determines both what is checked and what is connected to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.processing.fetching.exceptions import FetchError
from media.processing.fetching.url_parser import Target, parse_url, resolve_redirect

READ = [
    ("http://example.com", ("http", "example.com", 80, "/")),
    ("HTTPS://EXAMPLE.com/A%20b?c=d%2F#fragment", ("https", "example.com", 443, "/A%20b?c=d%2F")),
    ("https://example.com:8443/", ("https", "example.com", 8443, "/")),
    ("http://example.com:443/", ("http", "example.com", 443, "/")),
    ("http://example.com./a", ("http", "example.com", 80, "/a")),
    ("http://example.com?a=b", ("http", "example.com", 80, "/?a=b")),
    ("http://example.com?", ("http", "example.com", 80, "/")),
    ("http://my_bucket.s3-1.example.com/", ("http", "my_bucket.s3-1.example.com", 80, "/")),
    ("http://8.8.8.8/", ("http", "8.8.8.8", 80, "/")),
    ("http://[2606:4700::0001]:8080/", ("http", "2606:4700::1", 8080, "/")),
    ("http://bücher.example/ä?ö", ("http", "xn--bcher-kva.example", 80, "/%C3%A4?%C3%B6")),
    ("http://example.com/../%2e%2e/a", ("http", "example.com", 80, "/../%2e%2e/a")),
    ('http://example.com/<"^`{}', ("http", "example.com", 80, "/%3C%22%5E%60%7B%7D")),
    ("http://example.com/@evil:80", ("http", "example.com", 80, "/@evil:80")),
    # other spellings of an address are parsed as that address, and refused when it is checked
    ("http://127.0.0.1/", ("http", "127.0.0.1", 80, "/")),
    ("http://127.0.0.1./", ("http", "127.0.0.1", 80, "/")),
    ("http://１２７.0.0.1/", ("http", "127.0.0.1", 80, "/")),
    ("http://127。0。0。1/", ("http", "127.0.0.1", 80, "/")),
    ("http://[::ffff:127.0.0.1]/", ("http", "::ffff:7f00:1", 80, "/")),
    ("http://[0:0:0:0:0:0:0:1]/", ("http", "::1", 80, "/")),
]


@pytest.mark.parametrize(("text", "parts"), READ)
def test_a_url_is_split_into_its_parts(text: str, parts: tuple[str, str, int, str]) -> None:
    target = parse_url(text)
    assert (target.scheme, target.host, target.port, target.path) == parts


@pytest.mark.parametrize(("text", "parts"), READ)
def test_the_http_client_gets_the_same_parts(text: str, parts: tuple[str, str, int, str]) -> None:
    target = parse_url(text)
    url = target.url
    assert (url.scheme, url.raw_host, url.port, url.raw_path_qs) == parts
    assert parse_url(str(url)) == target


MALFORMED = [
    "",
    "example.com/picture.png",
    "//example.com/",
    "http:example.com",
    "httpſ://example.com/",
    "http:/example.com",
    "http:///example.com",
    "http://",
    "http://:80/",
    " http://example.com/",
    "http://example.com/ ",
    "http://example.com/a b",
    "http://exa\tmple.com/",
    "http://exa\nmple.com/",
    "http://example.com\r\nHost: evil/",
    "http://example.com\x00.evil/",
    "http://example.com\\.evil/",
    "http:\\\\example.com/",
    "http://example.com\u00a0/",
    "http://example.com/\u2028",
    "http://example.com/\ud800",
    "http://example.com:/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:１２３４/",
    "http://example.com:8a/",
    "http://example.com:80:80/",
    "http://example..com/",
    "http://.example.com/",
    "http://example.com../",
    "http://./",
    "http://-example.com/",
    "http://example%2ecom/",
    "http://127%2e0.0.1/",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 127 + "com/",
    "http://ü" + "ü" * 5000 + ".com/",
    "http://example.com/" + "a" * 8000,
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.01/",
    "http://127.0.0.0x1/",
    "http://1.1.1.1.1/",
    "http://256.1.1.1/",
    "http://0/",
    "http://0x/",
    "http://１２７.1/",
    "http://example.1/",
    "http://[::1/",
    "http://::1/",
    "http://[::1]evil/",
    "http://[127.0.0.1]/",
    "http://[fe80::1%25lo]/",
    "http://[fe80::1%lo]/",
    "http://[::ffff:127.1]/",
    "http://[v1.fe80]/",
    "http://[]/",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_and_ambiguous_urls_are_refused(text: str) -> None:
    with pytest.raises(FetchError) as refused:
        parse_url(text)
    assert refused.value.code == "invalid_url"


FORBIDDEN = [
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://127.0.0.1:6379/_x",
    "ws://example.com/",
    "http://1.1.1.1@evil.example/",
    "http://user:password@example.com/",
    "http://@example.com/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://a.localhost:8000/",
    "http://ⓛocalhost/",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:1023/",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_forbidden_urls_are_refused(text: str) -> None:
    with pytest.raises(FetchError) as refused:
        parse_url(text)
    assert refused.value.code == "url_not_allowed"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/b?c", "https://example.com:443/b?c"),
        ("b", "https://example.com:443/a/b"),
        ("//other.example/b", "https://other.example:443/b"),
        ("https://other.example:8443/b#c", "https://other.example:8443/b"),
        ("?q", "https://example.com:443/a/x?q"),
    ],
)
def test_a_redirect_is_resolved_as_browsers_do(location: str, expected: str) -> None:
    assert str(resolve_redirect(parse_url("https://example.com/a/x"), location).url) == str(
        parse_url(expected).url
    )


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://example.com/", "url_not_allowed"),
        ("file:///etc/passwd", "url_not_allowed"),
        ("http://user@example.com/", "url_not_allowed"),
        ("https://exa\tmple.com/", "invalid_url"),
        ("\\\\evil.example\\", "invalid_url"),
        ("https://[", "invalid_url"),
        ("https://2130706433/", "invalid_url"),
        ("/\udcff", "invalid_url"),
    ],
)
def test_a_redirect_is_checked_like_any_other_url(location: str, code: str) -> None:
    with pytest.raises(FetchError) as refused:
        resolve_redirect(parse_url("https://example.com/"), location)
    assert refused.value.code == code


@given(
    st.text()
    | st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["http", "https", "HTTP", "file"]),
        st.text(alphabet="a1.:[]@%-x0ü。１\\\t/#?", max_size=20),
        st.sampled_from(["", ":80", ":8080", ":x"]),
        st.text(max_size=10).map(lambda text: "/" + text),
    )
)
def test_any_text_is_refused_or_gives_a_target_that_round_trips(text: str) -> None:
    try:
        target = parse_url(text)
    except FetchError:
        return
    assert isinstance(target, Target)
    assert str(target.url).isascii()
    assert (target.url.raw_host, target.url.port) == (target.host, target.port)
    assert parse_url(str(target.url)) == target
