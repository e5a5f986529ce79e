"""`python -m tools.guard cdk.out`: run the own rules on a synthesized assembly, one line for each finding."""

import argparse
import sys
from pathlib import Path

from tools.guard.assembly import Assembly, AssemblyError
from tools.guard.rules import RULES, findings

PROFILES = ("baseline", "strict")


def main(arguments: list[str] | None = None) -> int:
    """0: nothing found; 1: findings, one a line; 3: there is nothing to look at."""
    parser = argparse.ArgumentParser(prog="python -m tools.guard", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path("cdk.out"), help="what `cdk synth` wrote")
    parser.add_argument("--profile", choices=PROFILES, default=PROFILES[0], help="strict asks for more")
    parser.add_argument("--list", action="store_true", help="tell the rules instead")
    options = parser.parse_args(arguments)
    if options.list:
        for rule in RULES:
            print(f"{rule.name}{' (strict)' if rule.strict else ''}: {rule.demand}")
        return 0
    try:
        assembly = Assembly.read(options.directory)
    except AssemblyError as error:
        print(f"guard: {error}", file=sys.stderr)
        return 3
    found = findings(assembly, strict=options.profile == "strict")
    for finding in found:
        print(finding)
    rules = sum(1 for rule in RULES if options.profile == "strict" or not rule.strict)
    print(f"guard: {rules} rules on {len(assembly.resources)} resources, {len(found)} findings", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
