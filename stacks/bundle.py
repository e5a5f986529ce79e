"""Code bundles: our packages and their vendored dependencies as one zip each, made without Docker and cached."""

import hashlib
import os
import py_compile
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stacks import vendoring
from stacks.vendoring import Platform

CACHE = Path(".build") / "bundles"
KEPT_PER_NAME = 3  # of finished bundles; a worker's is tens of megabytes
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold
NOT_SHIPPED = ("requirements.in", "requirements.txt")
HEX_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSpec:
    """What goes into a bundle, relative to the repository."""

    name: str
    packages: tuple[str, ...]
    lock: str
    aws_services: tuple[str, ...] = ()  # whose botocore models are kept, where boto3 is vendored
    compiled: bool = (
        False  # the interpreter that runs it is this one's X.Y: ship byte code, every worker starts with it
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A finished zip; the digest covers everything that went into it, not the bytes that came out."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundles:
    """The bundles of the app, and the Python version that the worker's wheels were chosen for."""

    worker: Bundle
    functions: Bundle
    worker_python: str
    worker_arm64: Bundle | None = None  # the same for hosts of the other architecture, where there are any

    def worker_for(self, architecture: str) -> Bundle:
        """The worker's bundle for hosts of an architecture (EC2's name)."""
        bundle = self.worker_arm64 if architecture == "arm64" else self.worker
        assert bundle is not None, f"no worker bundle was built for {architecture}"
        return bundle


WORKER = BundleSpec(
    name="worker",
    packages=("spotproof", "batch_jobs"),
    lock="batch_jobs/requirements.txt",
    aws_services=("s3", "dynamodb", "sts", "events", "ec2", "batch"),
    compiled=True,
)
FUNCTIONS = BundleSpec(name="functions", packages=("spotproof", "lambdas"), lock="lambdas/requirements.txt")


def build_bundles(root: Path, *, worker_platform: str, arm64_platform: str = "") -> Bundles:
    """The bundles, from the cache where nothing changed.

    Args:
        worker_platform: of the worker's wheels.
        arm64_platform: of those for hosts of family graviton; empty: there are none.

    Raises:
        ConfigurationError: if dependencies can't be installed.
    """
    python = vendoring.host_python()
    worker = build_bundle(WORKER, root=root, platform=Platform(python=python, tag=worker_platform))
    # Pure Python: installed for this machine, runs on any.
    functions = build_bundle(FUNCTIONS, root=root, platform=Platform(python=python, tag=vendoring.HOST))
    arm64 = (
        build_bundle(WORKER, root=root, platform=Platform(python=python, tag=arm64_platform))
        if arm64_platform
        else None
    )
    return Bundles(worker=worker, functions=functions, worker_python=python, worker_arm64=arm64)


def build_bundle(spec: BundleSpec, *, root: Path, platform: Platform) -> Bundle:
    """One bundle: dependencies (changing rarely, slow) zipped once, our sources (fast) appended to a copy."""
    vendored_key = _digest(_vendored_inputs(spec, root, platform))
    sources = list(_source_files(spec, root))
    digest = _digest(_bundle_inputs(vendored_key, sources))
    cache = root / CACHE
    path = cache / f"{spec.name}-{digest}.zip"
    if not path.is_file():
        vendored = _vendored_zip(spec, root, platform, cache / f"{spec.name}-vendored-{vendored_key}.zip")
        with _replacing(path) as fresh:
            shutil.copyfile(vendored, fresh)
            _append(fresh, sources)
            if spec.compiled:
                with tempfile.TemporaryDirectory(dir=cache) as directory:
                    _append(fresh, _compiled(sources, Path(directory)))
    os.utime(path)
    _forget_old(cache, spec.name)
    return Bundle(path=path, digest=digest)


def _vendored_zip(spec: BundleSpec, root: Path, platform: Platform, path: Path) -> Path:
    if path.is_file():
        return path
    sys.stderr.write(f"spotproof: installing the {spec.name} bundle's dependencies (once) ...\n")
    sys.stderr.flush()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        target = Path(directory) / "vendored"
        vendoring.install(root / spec.lock, target, platform)
        vendoring.trim(target, aws_services=spec.aws_services)
        files = [(file.relative_to(target).as_posix(), file) for file in _files_below(target)]
        with _replacing(path) as fresh:
            _append(fresh, files)
            if spec.compiled:
                _append(fresh, _compiled(files, Path(directory) / "compiled"))
    return path


def _vendored_inputs(spec: BundleSpec, root: Path, platform: Platform) -> Iterator[bytes]:
    yield f"{platform.tag} {platform.python} {spec.aws_services} {spec.compiled}".encode()
    if platform.tag == vendoring.HOST:
        yield f"{sys.platform} {os.uname().machine}".encode()
    yield (root / spec.lock).read_bytes()
    yield Path(vendoring.__file__).read_bytes()


def _bundle_inputs(vendored_key: str, sources: list[tuple[str, Path]]) -> Iterator[bytes]:
    yield vendored_key.encode()
    yield Path(__file__).read_bytes()
    for name, path in sources:
        yield name.encode()
        yield path.read_bytes()


def _source_files(spec: BundleSpec, root: Path) -> Iterator[tuple[str, Path]]:
    for package in spec.packages:
        for path in _files_below(root / package):
            if path.name not in NOT_SHIPPED and not path.name.startswith("."):
                yield path.relative_to(root).as_posix(), path


def _files_below(directory: Path) -> Iterator[Path]:
    """Files in an order that does not depend on the disk, without compiled Python."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


def _compiled(files: list[tuple[str, Path]], scratch: Path) -> list[tuple[str, Path]]:
    """Byte code of the Python files, valid whatever their times are (PEP 552, unchecked hash)."""
    made = []
    for name, path in files:
        if not name.endswith(".py"):
            continue
        folder, _, file = name.rpartition("/")
        cached = f"{folder}/__pycache__/{file[:-3]}.{sys.implementation.cache_tag}.pyc".lstrip("/")
        target = scratch / cached
        try:
            py_compile.compile(
                str(path),
                str(target),
                name,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError:
            continue  # a file for another Python; importing it there says so
        made.append((cached, target))
    return made


def _append(archive: Path, files: list[tuple[str, Path]]) -> None:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as bundle:
        for name, path in files:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whatever made it
            entry.external_attr = 0o100644 << 16  # any user in the container may read it
            bundle.writestr(entry, path.read_bytes())


def _digest(parts: Iterator[bytes]) -> str:
    """Hash of the parts; each part's length goes in, so that moving a byte between two changes it."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()[:HEX_DIGITS]


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A new file that takes `path`'s place when the block ends well; another synth never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.part")
    fresh.unlink(missing_ok=True)
    try:
        yield fresh
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _forget_old(cache: Path, name: str) -> None:
    finished = [path for path in cache.glob(f"{name}-*.zip") if "-vendored-" not in path.name]
    by_age = sorted(finished, key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_age[KEPT_PER_NAME:]:
        path.unlink(missing_ok=True)
