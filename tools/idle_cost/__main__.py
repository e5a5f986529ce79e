"""`python -m tools.idle_cost cdk.out`: what the synthesized deployment costs a month while no run goes on.

With two assemblies and `--write`, the tables of docs/deploying.md: the default one, then the strict one.
"""

import argparse
import sys
from pathlib import Path

from tools.guard.assembly import Assembly, AssemblyError
from tools.idle_cost.items import UnknownCostError, idle_items
from tools.idle_cost.page import PAGE, tables, with_tables
from tools.idle_cost.prices import PriceList

TITLES = ("As it is by default", "With `-c compliance=strict`")


def main(arguments: list[str] | None = None) -> int:
    """0: told; 3: there is nothing to compute, the line says why."""
    parser = argparse.ArgumentParser(prog="python -m tools.idle_cost", description=__doc__)
    parser.add_argument("directories", type=Path, nargs="*", default=[Path("cdk.out")], help="what `cdk synth` wrote")
    parser.add_argument("--write", action="store_true", help="into docs/deploying.md")
    options = parser.parse_args(arguments)
    prices = PriceList.read()
    try:
        found = [idle_items(Assembly.read(each), prices) for each in options.directories]
    except (AssemblyError, UnknownCostError) as error:
        print(f"idle cost: {error}", file=sys.stderr)
        return 3
    if not options.write:
        titled = {str(name): items for name, items in zip(options.directories, found, strict=True)}
        print(tables(titled, prices))
        return 0
    content = tables(dict(zip(TITLES, found, strict=True)), prices)
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
