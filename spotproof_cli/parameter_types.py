"""Types of command line values that click does not have."""

import math

import click

WAIT_S_MAX = 30 * 86400.0
USD_MAX = 1e9


class Seconds(click.ParamType[float]):
    """A finite number of seconds above 0."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises click.BadParameter if it is none."""
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= WAIT_S_MAX:  # false for NaN as well
            self.fail(f"{value!r} is not a number of seconds above 0 and at most {WAIT_S_MAX:g}", param, ctx)
        return seconds


class Dollars(click.ParamType[float]):
    """A finite amount of US dollars above 0."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises click.BadParameter if it is none."""
        try:
            usd = float(str(value).removeprefix("$"))
        except ValueError:
            usd = math.nan
        if not 0 < usd <= USD_MAX:  # false for NaN as well
            self.fail(f"{value!r} is not an amount of US dollars above 0 and at most {USD_MAX:.0f}", param, ctx)
        return usd


SECONDS = Seconds()
USD = Dollars()
