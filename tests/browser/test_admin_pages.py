"""The admin site's pages under their policy: they look and work as without one."""

import re
from io import BytesIO

import pytest
from django.apps import apps
from django.contrib import admin
from playwright.sync_api import Page, expect

from accounts.models import User
from billing.models import Statement
from media.models import Rendition
from tests.browser.conftest import PASSWORD
from tests.browser.on_pages import check_accessibility, sign_in, take_screenshots
from tests.support.admin_rows import create_billing_rows, create_branched_conversation
from tests.support.people import Person, token_for
from tests.support.pictures import quarters
from tests.support.run_command import Run
from tests.support.running_server import wait_until

LISTS = [
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for model in filter(admin.site.is_registered, apps.get_models())
]


@pytest.fixture
def desk(page: Page, operator: User) -> Page:
    """The browser of an operator who signed in."""
    sign_in(page, operator.email, PASSWORD)
    return page


def style(page: Page, selector: str, name: str) -> str:
    found: str = page.locator(selector).first.evaluate(f"element => getComputedStyle(element).{name}")
    return found


def test_all_lists_and_a_row_of_each_are_shown_without_a_complaint(desk: Page, alice: Person) -> None:
    create_billing_rows(alice)
    create_branched_conversation(alice)
    for address in LISTS:
        desk.goto(address)
        row = desk.locator("#result_list tbody th a").first
        if row.count():
            row.click()
            expect(desk.locator("#content-main form")).to_be_visible()


def test_the_calendar_of_a_form_works(desk: Page, alice: Person) -> None:
    desk.goto("/admin/accounts/apikey/")
    desk.locator("#result_list tbody th a").first.click()
    date = desk.locator("#id_expires_at_0")
    expect(date).to_have_value("")
    desk.get_by_role("link", name="Today").first.click()
    expect(date).to_have_value(re.compile(r"^\d{4}-\d\d-\d\d$"))


def test_the_chart_of_usage_has_its_style(desk: Page, alice: Person) -> None:
    create_billing_rows(alice)
    desk.goto("/admin/billing/usagerollup/?first=2026-01-01&last=2026-02-10")
    expect(desk.get_by_role("img")).to_be_visible()
    assert style(desk, ".usage .plot svg", "height") == "224px"
    check_accessibility(desk, "#content-main")
    take_screenshots(desk, "admin-usage")


def test_a_thread_shows_its_branches_indented(desk: Page, alice: Person) -> None:
    conversation = create_branched_conversation(alice)
    desk.goto(f"/admin/conversations/conversation/{conversation.pk}/change/")
    assert style(desk, ".thread article", "marginLeft") == "0px"
    assert style(desk, ".thread article.branch", "marginLeft") == "32px"
    check_accessibility(desk, ".thread")
    take_screenshots(desk, "admin-thread")


def test_a_picture_is_shown_small(desk: Page, alice: Person, site: Run) -> None:
    png = BytesIO()
    quarters(960, 640).save(png, "PNG")
    with site.client(alice.key) as client:
        form = {"purpose": "vision"}
        uploaded = client.post("/v1/files", data=form, files={"file": ("sign.png", png.getvalue())})
        assert uploaded.status_code == 200, uploaded.text
    thumbnail = Rendition.objects.filter(kind=Rendition.Kind.THUMBNAIL, state=Rendition.State.READY)
    wait_until(thumbnail.exists)

    desk.goto("/admin/media/asset/")
    shown = desk.locator("#result_list img")
    expect(shown).to_have_js_property("complete", True)
    assert shown.evaluate("image => image.naturalWidth") > 0
    assert style(desk, "#result_list img", "maxHeight") == "48px"


def test_a_statement_is_printed_in_columns(desk: Page, alice: Person) -> None:
    create_billing_rows(alice)
    desk.goto(f"/admin/billing/statement/{Statement.objects.get().pk}/print/")
    assert style(desk, "td.number", "textAlign") == "right"
    desk.emulate_media(media="print")
    assert style(desk, "body", "maxWidth") == "none"
    desk.emulate_media(media="screen")
    check_accessibility(desk)
    take_screenshots(desk, "statement")


def test_a_key_is_rolled_and_revoked_from_its_own_page(desk: Page, alice: Person) -> None:
    token_for(alice, "eve")
    desk.goto(f"/admin/accounts/apikey/{alice.key_id}/change/")
    expect(desk.get_by_label("history.read")).to_be_checked()
    expect(desk.get_by_label("members")).not_to_be_checked()
    check_accessibility(desk, "#panel-1")
    check_accessibility(desk, "#panel-2")
    take_screenshots(desk, "admin-key")

    desk.get_by_role("link", name="Roll").click()
    desk.get_by_label("Earlier secrets end").select_option("in a day")
    take_screenshots(desk, "admin-key-roll")
    desk.get_by_role("button", name="Roll").click()
    expect(desk.locator(".messagelist code")).to_have_text(re.compile(r"^sk-chatapi-[\w-]{40,}$"))
    take_screenshots(desk, "admin-key-rolled")
    desk.reload()
    expect(desk.locator(".messagelist code")).to_have_count(0)

    desk.get_by_role("link", name="Revoke tokens").click()
    desk.get_by_label("End user").fill("eve")
    take_screenshots(desk, "admin-key-revoke-tokens")
    desk.get_by_role("button", name="Revoke tokens").click()
    expect(desk.locator(".messagelist")).to_contain_text("1 end-user token of eve revoked.")
    expect(desk.locator("#panel-2")).to_have_count(0)

    desk.get_by_role("link", name="Revoke", exact=True).click()
    desk.get_by_role("button", name="Revoke").click()
    expect(desk.locator(".field-state .readonly")).to_have_text("revoked")
