"""The table in docs/workspaces.md is made from the code."""

from pathlib import Path

from accounts.permissions import permissions_table

PAGE = Path("docs/workspaces.md")


def test_the_table_in_the_documentation_is_that_of_the_code() -> None:
    table = permissions_table()
    assert table in PAGE.read_text(), (
        f"{PAGE} has another table than accounts.permissions. It should be:\n\n{table}"
    )
