"""The table of `make bench ARGS="--only history"`."""

from benchmarks.history_table import Line, Timings, misses, render

COLUMNS = ["SQLite, empty", "SQLite, full"]


def timed(*milliseconds: float) -> Timings:
    return Timings(list(milliseconds))


def line(group: str, empty: Timings, full: Timings) -> Line:
    return Line(group, f"some {group}", {"SQLite, empty": empty, "SQLite, full": full})


def test_a_cell_has_the_median_and_the_95th_percentile() -> None:
    table = render(COLUMNS, [line("lists", timed(1, 2, 3), timed(*range(1, 101)))])
    assert table.splitlines() == [
        "| p50 / p95, ms | SQLite, empty | SQLite, full |",
        "| --- | --- | --- |",
        "| some lists | 2.0 / 3.0 | 50.5 / 96.0 |",
    ]


def test_what_is_slower_than_its_aim_is_bold_and_told() -> None:
    slow = line("lists", timed(500), timed(120, 130))
    assert "| 500.0 / 500.0 | **125.0 / 130.0** |" in render(COLUMNS, [slow])
    assert misses(COLUMNS, [slow]) == ["some lists, SQLite, full: p95 130 ms, not 100"]
    assert misses(COLUMNS, [line("search", timed(1), timed(130))]) == []


def test_an_admission_is_compared_with_that_on_an_empty_database() -> None:
    assert misses(COLUMNS, [line("admission", timed(10), timed(10.4))]) == []
    [missed] = misses(COLUMNS, [line("admission", timed(10), timed(12))])
    assert missed == "some admission, SQLite, full: 1.20 times as long as on an empty database"


def test_a_search_may_be_missing_and_nothing_else() -> None:
    missing = Timings(statuses=[404])
    assert "| not there | not there |" in render(COLUMNS, [line("search", missing, missing)])
    assert misses(COLUMNS, [line("search", missing, missing)]) == []
    assert misses(COLUMNS, [line("lists", missing, missing)]) == ["some lists, SQLite, full: not there"]


def test_another_status_is_an_error() -> None:
    [missed] = misses(COLUMNS, [line("items", timed(1), Timings([3.0], [500]))])
    assert missed == "some items, SQLite, full: status 500"


def test_a_database_that_is_not_there_has_no_numbers() -> None:
    table = render([*COLUMNS, "PostgreSQL, full"], [line("lists", timed(1), timed(1))])
    assert table.endswith("| 1.0 / 1.0 | 1.0 / 1.0 | – |")
