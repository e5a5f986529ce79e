"""Run options as text: `ttl_s=30,pace_ms=5` in the `options` parameter of a Batch job."""

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from spotproof import contract
from spotproof.checkpoints.presets import plan_saves
from spotproof.errors import InputError
from spotproof.leases.model import CheckpointPreset, FailurePolicy, NoticePolicy, RunOptions

_DAY_S: Final = 86400.0
_NUMBERS: Final = {  # unit, least, most
    "ttl_s": ("seconds", 0.05, 30 * _DAY_S),
    "heartbeat_s": ("seconds", 0.05, 30 * _DAY_S),
    "checkpoint_interval_s": ("seconds", 0.05, 30 * _DAY_S),
    "poll_s": ("seconds", 0.05, 30 * _DAY_S),
    "hint_s": ("seconds", 0.05, 30 * _DAY_S),
    "window_s": ("seconds", 30.0, 3600.0),
    "interruption_rate_per_h": ("interruptions per hour", 1e-5, 100.0),
    # On AWS less than 30 s is never worth an instance; an accelerated local account lives faster.
    "fallback_after_s": ("seconds", 0.5, _DAY_S),
    "deadline_s": ("seconds", 1.0, 400 * _DAY_S),
    "on_demand_share_max": ("a share", 0.0, 1.0),
    "usd_per_hour_max": ("dollars per hour", 1e-4, 1e6),
    "usd_max": ("dollars", 1e-4, 1e9),
}
_WORDS: Final = {"on_failure": FailurePolicy, "checkpoint": CheckpointPreset, "on_notice": NoticePolicy}
_COUNTS: Final = {  # least, most
    "failures_max": (1, 1000),
    "losses_max": (1, 1000),
    "on_demand_after": (1, 1000),
    "on_demand_workers_max": (0, 10_000),
}
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
        if name in _NUMBERS:
            known[name] = _number(name, value, *_NUMBERS[name])
        elif name in _COUNTS:
            known[name] = _count(name, value, *_COUNTS[name])
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


def _number(name: str, text: str, unit: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise InputError(f"option {name} must be {unit} from {least:.15g} to {most:.15g}, got {text!r}")
    return value


def _count(name: str, text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise InputError(f"option {name} must be a whole number from {least} to {most}, got {text!r}")
    return int(text)


def _word(name: str, text: str) -> StrEnum:
    kind = _WORDS[name]
    try:
        return kind(text)
    except ValueError:
        words = [each.value for each in kind]
        raise InputError(f"option {name} must be {', '.join(words[:-1])} or {words[-1]}, got {text!r}") from None
