"""The real bundles, in an interpreter that has nothing else: as in the container and in the function."""

import json
import platform
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

import app
from stacks import vendoring
from stacks.bundle import FUNCTIONS, WORKER, Bundles, build_bundles
from stacks.jobs import JOBS, JobSpec
from stacks.routes import EVENT_ROUTES
from stacks.settings import DeploySettings
from stacks.vendoring import Platform

# Slow only until the dependencies are in the cache: then it is a second.
pytestmark = pytest.mark.timeout(900)
IS_WORKER_PLATFORM = (sys.platform, platform.machine()) == ("linux", "x86_64")
IN_LAMBDA = ("boto3", "botocore", "s3transfer", "dateutil", "urllib3", "six.py", "jmespath")  # with the runtime
WORKER_BYTES_MAX = 70_000_000  # pyarrow and botocore 38 MB, numpy with its OpenBLAS and obstore 25 MB
Run = Callable[[str], str]


@pytest.fixture(scope="session")
def bundles() -> Bundles:
    tag = DeploySettings().worker_platform if IS_WORKER_PLATFORM else vendoring.HOST
    return build_bundles(app.ROOT, worker_platform=tag)


def runner(*paths: Path) -> Run:
    """Runs Python with these directories and the standard library, nothing else; it ends as a worker does."""

    def run(program: str) -> str:
        prologue = f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}\n"
        epilogue = "\nfrom spotproof.process import leave; leave(0)\n"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", prologue + program + epilogue],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def in_worker(bundles: Bundles, tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("worker")
    zipfile.ZipFile(bundles.worker.path).extractall(directory)
    return runner(directory)


@pytest.fixture(scope="session")
def in_function(bundles: Bundles, tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory, runtime = tmp_path_factory.mktemp("functions"), tmp_path_factory.mktemp("runtime")
    zipfile.ZipFile(bundles.functions.path).extractall(directory)
    boto3 = find_spec("boto3")
    assert boto3
    assert boto3.origin
    for name in IN_LAMBDA:
        (runtime / name).symlink_to(Path(boto3.origin).parent.parent / name)
    return runner(directory, runtime)


@pytest.mark.parametrize("handler", [route.handler for route in EVENT_ROUTES])
def test_every_handler_of_the_route_table_resolves(in_function: Run, handler: str) -> None:
    module, _, name = handler.rpartition(".")

    assert in_function(f"import importlib; print(callable(importlib.import_module({module!r}).{name}))") == "True\n"


def test_the_functions_carry_powertools_and_not_boto3(bundles: Bundles) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(bundles.functions.path).namelist()}

    assert {"spotproof", "lambdas", "aws_lambda_powertools"} <= top
    assert not {"boto3", "botocore", "pyarrow", "batch_jobs", "stacks"} & top


def test_the_functions_are_pure_python(bundles: Bundles) -> None:
    """They are installed here and run on another processor and another Python."""
    assert not [n for n in zipfile.ZipFile(bundles.functions.path).namelist() if n.endswith((".so", ".pyd", ".dylib"))]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_the_worker_starts_and_every_declared_job_is_in_it(in_worker: Run, job: JobSpec) -> None:
    program = f"""
import batch_jobs.worker_main, {job.module}
from spotproof.worker.registry import find_job
print(find_job({job.name!r}).__module__)
"""
    assert in_worker(program) == f"{job.module}\n"


def test_the_worker_can_make_a_client_of_every_service_it_uses(in_worker: Run) -> None:
    program = f"""
import boto3, json
print(json.dumps([boto3.client(name).meta.endpoint_url for name in {WORKER.aws_services!r}]))
"""
    assert all(".eu-west-1.amazonaws.com" in url for url in json.loads(in_worker(program)))


def test_what_was_trimmed_from_pyarrow_is_not_missed(in_worker: Run) -> None:
    program = """
import io, pyarrow, pyarrow.compute, pyarrow.csv, pyarrow.dataset, pyarrow.feather, pyarrow.json, pyarrow.parquet
table, file = pyarrow.table({"key": ["a", "b", "a"], "value": [1, 2, 3]}), io.BytesIO()
for compression in ("snappy", "zstd", "gzip", "lz4", "brotli"):
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, compression=compression)
    assert pyarrow.parquet.read_table(io.BytesIO(file.getvalue())) == table
print(table.group_by("key").aggregate([("value", "sum")]).sort_by("key").to_pylist())
"""
    assert in_worker(program) == "[{'key': 'a', 'value_sum': 4}, {'key': 'b', 'value_sum': 2}]\n"


def test_what_was_trimmed_from_the_checkpoints_libraries_is_not_missed(in_worker: Run) -> None:
    program = """
import numpy, obstore, xxhash, zstandard
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store
data = numpy.arange(100_000, dtype="uint8")
packed = zstandard.ZstdCompressor(level=-1).compress(data)
assert zstandard.backend == "cext", zstandard.backend
assert numpy.array_equal(numpy.frombuffer(zstandard.ZstdDecompressor().decompress(packed), dtype="uint8"), data)
assert numpy.linalg.inv(numpy.eye(3)).sum() == 3 and numpy.random.default_rng(1).random() < 1 and numpy.fft.fft([1]) == 1
print(xxhash.xxh3_128_hexdigest(b""), S3Store("bucket", region="eu-west-1").config["bucket"])
"""
    assert in_worker(program) == "99aa06d3014798d86001c324468d497f bucket\n"


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "elf_machine"), [("x86_64", 62), ("aarch64", 183)])
def test_the_workers_wheels_exist_for_both_processors(tmp_path: Path, machine: str, elf_machine: int) -> None:
    """The number of the processor is bytes 18 and 19 of every ELF file (System V ABI, e_machine)."""
    tag = Platform(python=vendoring.host_python(), tag=f"manylinux_2_28_{machine}")

    vendoring.install(app.ROOT / WORKER.lock, tmp_path / "target", tag)
    vendoring.trim(tmp_path / "target", aws_services=WORKER.aws_services)

    libraries = [path for path in (tmp_path / "target").rglob("*") if ".so" in path.suffixes]
    assert {path.parts[len(tmp_path.parts) + 1] for path in libraries} >= {"numpy", "obstore", "xxhash", "zstandard"}
    assert {int.from_bytes(path.read_bytes()[18:20], "little") for path in libraries} == {elf_machine}


def test_the_worker_stays_small(bundles: Bundles) -> None:
    assert bundles.worker.path.stat().st_size < WORKER_BYTES_MAX
    models = {
        name.split("/")[2]
        for name in zipfile.ZipFile(bundles.worker.path).namelist()
        if name.startswith("botocore/data/") and name.count("/") > 2
    }
    assert models == set(WORKER.aws_services)


def test_neither_bundle_carries_what_only_we_need(bundles: Bundles) -> None:
    for made, spec in ((bundles.worker, WORKER), (bundles.functions, FUNCTIONS)):
        entries = zipfile.ZipFile(made.path).namelist()
        assert not [name for name in entries if name.startswith(("tests/", "."))]
        assert spec.compiled or not [name for name in entries if "__pycache__" in name]
        assert not [name for name in entries if name.endswith(("requirements.txt", "requirements.in"))]
        assert len(entries) == len(set(entries)), spec.name
