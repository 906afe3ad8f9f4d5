"""Sandbox pools: worker processes for hostile input, heavy models, and GPL code.

A job is a module-level function (`job_functions.py`) that takes one Struct and returns one, or yields
them. A `MediaError` it raises reaches the caller unchanged. Anything else that can go wrong is a
`SandboxError`:

- When a job exceeds its time limit, or keeps running after it was abandoned, its worker process is killed.
- A job that was alone in a worker process that ended (a crash, out of memory) is to blame, and fails.
- If several jobs were running, nobody can tell which one is to blame; if one was late, the others are
  innocent. Each is retried once, alone in a worker process, so that only its own fault can make it fail. One
  job at a time runs alone, in an extra process, while the other processes carry on.
- A stream that has delivered pieces cannot be retried. It raises `JobInterrupted` if another job was late,
  and fails if nobody can tell which one is to blame. `stream(…, alone=True)` settles that on the next try.
- A worker process that ends before it is ready interrupts all waiting jobs, as closing the pool does; the
  next call tries again.
"""
