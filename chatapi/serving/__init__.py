"""`manage.py run`: one process that checks, migrates, serves and runs the tasks."""
