"""Workshops: child processes for work on hostile bytes, with heavy models, or by GPL code.

A job is a module-level function (`jobs.py`) that takes one Struct and returns one, or yields them. A
`MediaProblem` it raises arrives as it is. All else that can happen is a `SandboxError`:

- A job beyond its seconds, or abandoned and still going on, has its child killed.
- A job that was alone in a child that ended (a crash, out of memory) is to blame, and fails.
- Where several were at work nobody can tell whose fault it was, and where one was late the others are
  innocent: each is repeated once, alone in a child, so it can only fail by itself. One works alone at a time,
  in a child beside the others, who go on.
- A stream that has delivered pieces cannot be repeated. It is `JobInterrupted` where another was late, and
  fails where nobody can tell; `follow(…, alone=True)` makes sure next time.
- A child that ends before it is ready interrupts all that wait, as the end of the workshop does; the next
  call tries anew.
"""
