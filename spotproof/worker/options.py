"""Run options as text: `ttl_s=30,pace_ms=5` in the `options` parameter of a Batch job."""

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from spotproof import contract
from spotproof.checkpoints.presets import plan_saves
from spotproof.errors import InputError
from spotproof.leases.model import CheckpointPreset, FailurePolicy, NoticePolicy, RunOptions

_SECONDS: Final = ("ttl_s", "heartbeat_s", "checkpoint_interval_s", "poll_s", "hint_s")
_WINDOW_S: Final = (30.0, 3600.0)
_RATE_PER_H: Final = (1e-5, 100.0)
_WORDS: Final = {"on_failure": FailurePolicy, "checkpoint": CheckpointPreset, "on_notice": NoticePolicy}
_COUNTS: Final = ("failures_max", "losses_max")
_TEXT_MAX: Final = 2000
_OPTION_NAMES: Final = tuple(field.name for field in dataclasses.fields(RunOptions))


def parse_options(text: str) -> RunOptions:
    """Options from comma-separated `name=value`; "auto" and "" mean all defaults.

    Known names set the run's options; every other name is passed to the user's function as `shard.options[name]`.

    Raises:
        InputError: malformed, out of range, or a name given twice; the text says which.
    """
    if text in ("", contract.AUTO):
        return RunOptions()
    if len(text) > _TEXT_MAX:
        raise InputError(f"options are {len(text)} characters long; at most {_TEXT_MAX} are possible")
    known: dict[str, float | int | StrEnum] = {}
    job: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value:
            raise InputError(f"option {part!r} must be name=value, several separated by commas")
        if name in known or name in job:
            raise InputError(f"option {name!r} is given twice")
        if name in _SECONDS:
            known[name] = _seconds(name, value)
        elif name in _COUNTS:
            known[name] = _count(name, value)
        elif name == "window_s":
            known[name] = _number(name, value, "seconds", *_WINDOW_S)
        elif name == "interruption_rate_per_h":
            known[name] = _number(name, value, "interruptions per hour", *_RATE_PER_H)
        elif name in _WORDS:
            known[name] = _word(name, value)
        else:
            job[name] = value
    return _checked(RunOptions(**known, job=job))  # type: ignore[arg-type]


def format_options(values: Mapping[str, str]) -> str:
    """The text for `values`, checked; "auto" when empty.

    Raises:
        InputError: as parse_options.
    """
    text = ",".join(f"{name}={value}" for name, value in values.items()) or contract.AUTO
    parse_options(text)
    return text


def options_to_json(options: RunOptions) -> dict[str, object]:
    values = {name: getattr(options, name) for name in _OPTION_NAMES}
    return {**values, **{name: values[name].value for name in _WORDS}, "job": dict(options.job)}


def _checked(options: RunOptions) -> RunOptions:
    plan_saves(options)  # refuses what contradicts itself
    if options.ttl_s < 2 * options.heartbeat_s:
        # Only one of the two may have been given: keep the rule by moving the heartbeat.
        if options.heartbeat_s != RunOptions().heartbeat_s:
            raise InputError(
                f"option ttl_s={options.ttl_s:g} must be at least twice heartbeat_s={options.heartbeat_s:g}"
            )
        options = dataclasses.replace(options, heartbeat_s=options.ttl_s / 3)
    return options


def _seconds(name: str, text: str) -> float:
    return _number(name, text, "seconds", 0.05, 30 * 86400)


def _number(name: str, text: str, unit: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise InputError(f"option {name} must be {unit} from {least:.15g} to {most:.15g}, got {text!r}")
    return value


def _count(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise InputError(f"option {name} must be a whole number from 1 to 1000, got {text!r}")
    return int(text)


def _word(name: str, text: str) -> StrEnum:
    kind = _WORDS[name]
    try:
        return kind(text)
    except ValueError:
        words = [each.value for each in kind]
        raise InputError(f"option {name} must be {', '.join(words[:-1])} or {words[-1]}, got {text!r}") from None
