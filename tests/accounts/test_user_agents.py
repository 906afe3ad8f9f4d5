import pytest

from accounts.sign_in.user_agents import describe


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1",
            "Safari on iPhone",
        ),
        ("Mozilla/5.0 Firefox/128.0", "Firefox"),
        ("python-httpx/0.28.1", "python-httpx 0.28.1"),
        ("x" * 500, "x" * 60),
        ("", "An unknown program"),
    ],
)
def test_a_browser_or_program_is_named(user_agent: str, name: str) -> None:
    assert describe(user_agent) == name
