"""Who signed in, changed a secret or made a key, in the log and in a table that nobody edits."""
