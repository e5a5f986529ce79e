"""Lambda functions in a Python that has boto3 and nothing else, so a package missing from the bundle fails as on AWS."""

import os

from localcloud.clock import Clock
from localcloud.images import Images
from localcloud.seams import Seams

# The emulator hands its own environment to functions; these would change how the product's code behaves.
SERVER_ONLY_VARIABLES = ("LOG_LEVEL", "AUTH", "DOCKER_HOST", "BIND_HOST", "PYTHONPATH")


def install_lambda_interpreter(seams: Seams, images: Images, clock: Clock) -> None:
    """Use the bare interpreter for every Python function; its environment has the real windows, not our settings."""
    for name in SERVER_ONLY_VARIABLES:
        os.environ.pop(name, None)
    os.environ |= clock.windows()
    detect = seams.lambda_runtime._detect_runtime_binary
    python = str(images.lambda_python())

    def detect_bare(runtime: str) -> tuple[str, str]:
        program, script = detect(runtime)
        return (python if runtime.startswith("python") else program), script

    seams.lambda_runtime._detect_runtime_binary = detect_bare
