"""A later version of an assembly, as another synthesis would write it: a copy whose templates and assets were changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Resources = dict[str, Any]


def changed(assembly: Path, into: Path, stack: str, change: Callable[[Resources], None]) -> Path:
    """A copy of the assembly in `into`, with `change` applied to the resources of one stack."""
    shutil.copytree(assembly, into, symlinks=True)
    path = into / f"{stack}.template.json"
    template = json.loads(path.read_text())
    change(template["Resources"])
    path.write_text(json.dumps(template))
    return into
