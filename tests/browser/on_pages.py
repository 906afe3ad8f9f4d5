"""What people and tests do with a page: sign in, look for obstacles, take pictures of it."""

import os
from functools import cache
from pathlib import Path

from playwright.sync_api import Page, expect

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SERIOUS = {"serious", "critical"}
SCREENSHOTS = "CHATAPI_TEST_SCREENSHOTS"
# preload would read the stylesheets into <style> elements, which the policy of our pages refuses
_RUN_AXE = "context => axe.run(context, {preload: false}).then(found => found.violations)"


def sign_in(page: Page, email: str, password: str) -> None:
    """Sign in at the admin site."""
    page.goto("/admin/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()


def check_accessibility(page: Page, part: str = "html") -> None:
    """Fail if axe finds a serious or critical obstacle in this part of the page, which a selector names."""
    page.evaluate(_axe())  # by the debugger, which no policy of the page keeps out
    violations = page.evaluate(_RUN_AXE, part)
    obstacles = [
        f"{violation['impact']} {violation['id']} at {node['target']}: {violation['help']}"
        for violation in violations
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]
    assert not obstacles, "\n".join([f"{page.url}:", *obstacles])


@cache
def _axe() -> str:
    return AXE.read_text()


def take_screenshots(page: Page, name: str) -> None:
    """Save the whole page as NAME-light.png and NAME-dark.png, if the environment names a folder for it."""
    folder = os.environ.get(SCREENSHOTS)
    if not folder:
        return
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=Path(folder) / f"{name}-{scheme}.png", full_page=True)
    page.emulate_media(color_scheme="null")
