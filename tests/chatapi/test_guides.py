"""The guides of `docs/`, served beside the API's document."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from django.conf import settings
from django.test import Client

from chatapi.openapi_texts import TAGS, introduction
from chatapi.views.docs import guide_files

FOLDER = Path(settings.BASE_DIR) / "docs"
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
HEADING = re.compile(r"^#{1,4} (.+)$", re.MULTILINE)


def guides() -> dict[str, str]:
    """Return the Markdown of each guide by the address that it is served at."""
    files = guide_files()
    return {f"/docs/{name}": path.read_text() for name, path in files.items() if path.suffix == ".md"}


def anchors(text: str) -> set[str]:
    """Return the anchors of a guide's headings, as GitHub and `guide.js` make them."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    plain = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading) for heading in HEADING.findall(prose))
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.strip().lower())) for heading in plain}


def links(text: str, base: str) -> Iterator[str]:
    """Yield the links to addresses of the service itself."""
    for target in LINK.findall(CODE.sub("", text)):
        if not urlsplit(target).scheme:
            yield urljoin(base, target)


def test_each_link_of_a_guide_leads_somewhere(client: Client, db: None) -> None:
    texts = guides()
    found = [link for address, text in texts.items() for link in links(text, address)]
    found += [link for text in (introduction(), *TAGS.values()) for link in links(text, "/docs")]

    assert len(found) > 60
    for link in found:
        path, _, anchor = link.partition("#")
        answer = client.get(path)
        assert answer.status_code == 200, link
        answer.close()
        assert not anchor or anchor in anchors(texts[path]), link


def test_a_guide_is_a_page_that_is_read_without_a_script_and_without_a_network(client: Client) -> None:
    page = client.get("/docs/guides/billing.md")

    assert page["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="en">' in page.text
    assert "<title>Billing · chatapi</title>" in page.text
    assert "Every answer is billed once" in page.text
    assert '<a href="/docs/guides/billing.md" aria-current="page">Billing</a>' in page.text
    assert "'unsafe" not in page["content-security-policy"]
    assert not re.findall(r'(?:src|href)="(?!/static/|/docs)', page.text)


def test_what_a_guide_says_is_text_and_no_html(client: Client) -> None:
    page = client.get("/docs/guides/ssml.md")

    assert "&lt;speak&gt;" in page.text
    assert "<speak>" not in page.text


def test_every_file_of_the_folder_is_served_and_no_other(client: Client) -> None:
    served = {posixpath.relpath(name, "guides") for name in guide_files() if name.startswith("guides/")}
    assert served == {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}

    for name in ("guides/none.md", "guides/", "guides/../README.md", "../manage.py", "chatapi/settings.py"):
        assert client.get(f"/docs/{name}").status_code == 404, name


@pytest.mark.parametrize("name", ["guides/examples/chat.html", "guides/examples/server.py", "LICENSE"])
def test_what_is_no_guide_is_shown_and_never_run(client: Client, db: None, name: str) -> None:
    answer = client.get(f"/docs/{name}")

    assert answer["content-type"] == "text/plain; charset=utf-8"
    assert answer["x-content-type-options"] == "nosniff"
    assert answer.getvalue()
    answer.close()
