"""Container images without Docker: a Python image is a bare virtual environment of the host's interpreter."""

import contextlib
import os
import re
import sys
import threading
import venv
from pathlib import Path

HOST_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_PYTHON_IMAGE = re.compile(r"(?:.*/)?python:(\d+\.\d+)(?:\.\d+)?(?:-[\w.-]+)?")
_LAMBDA_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")


class ImagePullError(Exception):
    """The image can't be run here; the text is what Batch reports as the container's reason."""


class Images:
    """Virtual environments, made once and kept in the state directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()

    def programs_of(self, reference: str) -> Path:
        """The directory of programs (`python3`) that goes first on PATH of a container of this image.

        Raises:
            ImagePullError: not a Python image, or not of the host's Python version.
        """
        match = _PYTHON_IMAGE.fullmatch(reference)
        if match is None:
            raise ImagePullError(
                f"CannotPullContainerError: the local account runs python:{HOST_VERSION} images only, not {reference}"
            )
        if match[1] != HOST_VERSION:
            raise ImagePullError(
                f"CannotPullContainerError: {reference} needs Python {match[1]}, this machine has {HOST_VERSION}: "
                f"deploy with a python:{HOST_VERSION} image"
            )
        return self._environment(f"python-{HOST_VERSION}") / "bin"

    def lambda_python(self) -> Path:
        """A Python that has boto3 and nothing else, as the Lambda runtime does."""
        environment = self._environment(f"lambda-python-{HOST_VERSION}")
        import boto3  # its home is where the other packages of the runtime are

        packages = Path(boto3.__file__).parent.parent
        target = next((environment / "lib").glob("python*/site-packages"))
        for name in _LAMBDA_PACKAGES:
            with contextlib.suppress(FileExistsError):
                os.symlink(packages / name, target / name)
        return environment / "bin" / "python"

    def _environment(self, name: str) -> Path:
        place = self._directory / name
        with self._lock:
            if not (place / "bin" / "python3").exists():
                venv.EnvBuilder(with_pip=False, symlinks=True, clear=True).create(place)
        return place
