"""The beginning of a process that indexes. It imports no model: the new process sets Django up first."""


def set_up(database: str) -> None:
    """Set Django up on the database of this name, which is another than the configured one in tests."""
    import django

    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"] = database
