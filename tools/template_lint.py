"""`python -m tools.template_lint cdk.out`: cfn-lint over every template, one line for each finding."""

import argparse
import sys
from pathlib import Path
from typing import Final

from cfnlint.api import lint_file
from cfnlint.config import ManualArgs

from tools.guard.assembly import TEMPLATES

# By rule: why nothing is to be done about it.
LEFT: Final = {
    "W3005": "the CDK writes DependsOn next to a reference that implies it: the order is the same",
}


def lint(directory: Path) -> list[str]:
    """What cfn-lint finds in the templates that `cdk synth` left in `directory`, one text each, rules in LEFT aside."""
    settings = ManualArgs(ignore_checks=list(LEFT))
    return [
        f"{path.name}:{match.linenumber}: {match.rule.id}: {_one_line(match.message)}"
        for path in sorted(directory.glob(TEMPLATES))
        for match in lint_file(path, config=settings)
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def main(arguments: list[str] | None = None) -> int:
    """0: nothing found; 1: findings, one a line; 3: there is nothing to look at."""
    parser = argparse.ArgumentParser(prog="python -m tools.template_lint", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path("cdk.out"), help="what `cdk synth` wrote")
    directory: Path = parser.parse_args(arguments).directory
    templates = len(list(directory.glob(TEMPLATES)))
    if not templates:
        print(f"template_lint: no {TEMPLATES} in {directory}: run `make synth` first", file=sys.stderr)
        return 3
    found = lint(directory)
    for line in found:
        print(line)
    print(f"template_lint: {templates} templates, {len(found)} findings", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
