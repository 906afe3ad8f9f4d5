"""The API document's page, tried as a developer would."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.complaints import Complaints
from tests.browser.on_pages import take_screenshots
from tests.support.people import Person

STORED = "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"


def open_models(page: Page) -> Locator:
    """Open the page at the operation that lists models."""
    page.goto("/docs")
    operation = page.locator("#operations-models-listModels")
    operation.get_by_role("button").first.click()
    return operation


def execute(operation: Locator, status: int) -> None:
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answered = operation.locator(".live-responses-table .response-col_status").last
    expect(answered).to_have_text(re.compile(rf"^{status}\b"))


def test_a_developer_tries_the_api_with_a_key_that_the_browser_forgets(
    page: Page, alice: Person, complaints: Complaints
) -> None:
    models = open_models(page)
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".modal-ux")
    dialog.get_by_label("Value").first.fill(alice.key)
    dialog.get_by_role("button", name="Apply credentials").first.click()
    dialog.get_by_role("button", name="Close").last.click()
    execute(models, 200)
    take_screenshots(page, "docs")
    assert alice.key not in page.evaluate(STORED)

    complaints.expect(r"/v1/models: .* 401 ")
    execute(open_models(page), 401)
    assert alice.key not in page.evaluate(STORED)
