"""Jobs: module-level functions, addressed by module and name, with types taken from their annotations."""

import collections.abc
import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

JOB_PACKAGES = ("media.processing.", "tests.support.sandbox_jobs")
"""A worker process runs only functions written for it, even if the parent is tricked into asking for more."""


class NotAJob(TypeError):
    """The function is outside the job packages, or its annotations do not give its types."""


class Job:
    """A function that takes one value and returns one or, as a generator function, yields any number."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.address = f"{function.__module__}:{function.__qualname__}"
        self.streams = inspect.isgeneratorfunction(function)
        work, result = _types(function, self.streams)
        self.decode_work = msgspec.msgpack.Decoder(work).decode
        self.decode_result = msgspec.msgpack.Decoder(result).decode


@functools.cache
def job_of(function: Callable[..., Any]) -> Job:
    """Return the `Job` of a function. Raises `NotAJob`."""
    job = Job(function)
    if find_job_function(job.address) is not function:
        raise NotAJob(f"{job.address} is another function")
    return job


@functools.cache
def job_at(address: str) -> Job:
    """Return the `Job` at an address. Raises `NotAJob` and ImportError."""
    return Job(find_job_function(address))


def find_job_function(address: str) -> Callable[..., Any]:
    module, _, name = address.partition(":")
    if not module.startswith(JOB_PACKAGES):
        raise NotAJob(f"{address} is in no module of jobs")
    function = getattr(importlib.import_module(module), name, None)
    if not inspect.isfunction(function) or function.__module__ != module:
        raise NotAJob(f"{address} is not a function of its module")
    return function


def _types(function: Callable[..., Any], streams: bool) -> tuple[Any, Any]:
    hints = get_type_hints(function)
    result = hints.pop("return", None)
    if result is None or len(hints) != 1 or len(inspect.signature(function).parameters) != 1:
        raise NotAJob(f"{function.__qualname__} must take one annotated value and return one")
    if streams:
        if get_origin(result) not in (collections.abc.Iterator, collections.abc.Generator):
            raise NotAJob(f"{function.__qualname__} must be annotated as an Iterator")
        result = get_args(result)[0]
    return next(iter(hints.values())), result


class Nothing(msgspec.Struct, frozen=True):
    pass


def do_nothing(work: Nothing) -> Nothing:
    """Do nothing: the job that warms up a worker process."""
    return work
