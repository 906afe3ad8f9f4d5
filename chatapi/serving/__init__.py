"""`manage.py run`: one process that checks, migrates, serves and works off the tasks."""
