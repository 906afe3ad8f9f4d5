"""The API document's page and the guides beside it, tried as a developer would."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Locator, Page, expect

from tests.browser.complaints import Complaints
from tests.browser.on_pages import SCHEMES, check_accessibility, take_screenshots
from tests.support.people import Person

STORED = "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
OPERATIONS = [
    *("models/listModels", "chat/createOpenAIChatCompletion", "history/updateConversation"),
    *("me/deleteMe", "files/createFile"),
]
"""One of each method and kind of body."""


def open_operation(page: Page, id: str) -> Locator:
    """Open the page at an operation, which Swagger UI shows only when it is near."""
    page.goto("about:blank")
    page.goto(f"/docs#/{id}")
    operation = page.locator(f"#operations-{id.replace('/', '-')}")
    operation.get_by_role("button", name="Try it out").wait_for()  # the document is built for the first
    return operation


def execute(operation: Locator, status: int) -> None:
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answered = operation.locator(".live-responses-table .response-col_status").last
    expect(answered).to_have_text(re.compile(rf"^{status}\b"))


def authorize(operation: Locator, key: str) -> None:
    """Enter a key at the operation's lock: at the page's top the operation would be out of reach."""
    operation.get_by_role("button", name="authorization button").first.click()
    page = operation.page
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Value").first.fill(key)
    dialog.get_by_role("button", name="Authorize with this").first.click()
    check_accessibility(page)
    dialog.get_by_role("button", name="Close").last.click()


def look_at_it(page: Page, name: str) -> None:
    """Look for obstacles, light and dark, and take pictures."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        check_accessibility(page)
    take_screenshots(page, name)


def test_a_developer_tries_the_api_with_a_key_that_the_browser_forgets(
    page: Page, alice: Person, complaints: Complaints
) -> None:
    models = open_operation(page, "models/listModels")
    authorize(models, alice.key)
    execute(models, 200)
    look_at_it(page, "docs-answered")
    assert alice.key not in page.evaluate(STORED)

    complaints.expect(r"/v1/models: .* 401 ")
    execute(open_operation(page, "models/listModels"), 401)
    assert alice.key not in page.evaluate(STORED)


def test_an_example_is_sent_as_it_is_shown(page: Page, alice: Person) -> None:
    conversations = open_operation(page, "history/createConversation")
    authorize(conversations, alice.key)
    execute(conversations, 200)
    expect(conversations.locator(".live-responses-table")).to_contain_text("conv_")


def test_nobody_is_kept_out_by_colours_or_by_controls_without_names(page: Page, alice: Person) -> None:
    page.goto("/docs")
    page.locator("#operations-tag-chat").wait_for()
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page).to_have_title("API · chatapi")
    look_at_it(page, "docs")

    schemas = page.locator("section.models")
    schemas.scroll_into_view_if_needed()
    for schema in ("Acceptance", "AccountDeleted"):
        schemas.get_by_role("button", name=schema, exact=True).first.click()
    look_at_it(page, "docs-schemas")


@pytest.mark.parametrize("id", OPERATIONS)
def test_nobody_is_kept_out_of_an_operation(page: Page, alice: Person, id: str) -> None:
    operation = open_operation(page, id)
    look_at_it(page, f"docs-{id.rpartition('/')[2]}")
    operation.get_by_role("button", name="Try it out").click()
    expect(operation.get_by_role("button", name="Execute")).to_be_visible()
    check_accessibility(page)


def test_the_focus_is_seen(page: Page, alice: Person) -> None:
    page.goto("/docs")
    page.locator("#operations-tag-chat").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    focused = page.locator(":focus-visible")
    assert focused.evaluate("element => getComputedStyle(element).outlineWidth") == "3px"


def test_guides_are_read_beside_the_api(page: Page, alice: Person) -> None:
    page.goto("/docs")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="billing").first.click()
    guide = opened.value
    expect(guide).to_have_title("Billing · chatapi")
    expect(guide.get_by_role("heading", level=1)).to_have_text("Billing")
    look_at_it(guide, "guide")

    guide.get_by_role("link", name="models.md").first.click()
    expect(guide.get_by_role("heading", level=1)).to_have_text("The models file")


def test_a_link_leads_to_its_chapter(page: Page, alice: Person) -> None:
    page.goto("/docs/guides/workspaces.md")
    page.get_by_role("link", name="frontends").last.click()
    chapter = page.locator("#keys-and-tokens")
    expect(chapter).to_have_text("Keys and tokens")
    expect(chapter).to_be_in_viewport()


def test_each_guide_is_shown(page: Page, alice: Person) -> None:
    for path in sorted((Path(settings.BASE_DIR) / "docs").glob("*.md")):
        page.goto(f"/docs/guides/{path.name}")
        expect(page.get_by_role("heading", level=1)).to_have_text(path.read_text().partition("\n")[0][2:])
        check_accessibility(page)
