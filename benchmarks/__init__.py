"""`make bench`: the service against a plain relay, on one machine, from scratch."""
