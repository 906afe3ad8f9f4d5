"""Every page below /accounts/, each looked at once."""

import re
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver
from playwright.sync_api import Page

from accounts.models import User
from accounts.sign_in.urls import urlpatterns
from tests.browser.complaints import Complaints
from tests.browser.conftest import PASSWORD
from tests.browser.on_pages import confirm_password, look_at, sign_in

WITHOUT_PAGE = {
    "account_confirm_email",
    "account_reset_password_from_key",
}  # test_sign_in_password opens their links
VALUES = {"uidb36": "1", "key": "nonsense"}


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif not re.search(r"[<(]", route):
            yield f"/accounts/{route}"
