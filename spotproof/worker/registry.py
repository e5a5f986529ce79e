"""Declared jobs: the functions that users mark with @job."""

from collections.abc import Callable, Generator
from typing import Any, Final

from spotproof.errors import ConfigurationError

JobFunction = Callable[[Any, Any], Generator[None, None, Any]]
_NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_jobs: dict[str, JobFunction] = {}


def job(name: str) -> Callable[[JobFunction], JobFunction]:
    """Declare a generator function `f(shard, state)` as the job `name`.

    Every `yield` is a safe point; `return value` is the shard's output, committed exactly once.

    Raises:
        ConfigurationError: the name is empty, has other characters than a-z 0-9 -, or is taken by another function.
    """
    if not name or set(name) - _NAME_CHARACTERS:
        raise ConfigurationError(f"job name {name!r} must be of a-z, 0-9 and -")

    def register(function: JobFunction) -> JobFunction:
        known = _jobs.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (function.__module__, function.__qualname__):
            raise ConfigurationError(f"job {name!r} is declared twice: {known.__module__} and {function.__module__}")
        _jobs[name] = function
        return function

    return register


def find_job(name: str) -> JobFunction:
    """The function declared as `name`.

    Raises:
        ConfigurationError: no such job; the text lists the declared ones.
    """
    function = _jobs.get(name)
    if function is None:
        known = ", ".join(sorted(_jobs)) or "none: no module with @job was imported"
        raise ConfigurationError(f"no job named {name!r}; declared: {known}")
    return function


def job_names() -> tuple[str, ...]:
    return tuple(sorted(_jobs))
