"""Lambda functions in a Python that has boto3 and nothing else, so a package missing from the bundle fails as on AWS."""

import os

from localcloud.images import Images
from localcloud.seams import Seams

# The emulator hands its own environment to functions; these would change how the product's code behaves.
SERVER_ONLY_VARIABLES = ("LOG_LEVEL", "AUTH", "DOCKER_HOST", "BIND_HOST", "PYTHONPATH")


def install_lambda_interpreter(seams: Seams, images: Images) -> None:
    """Use the bare interpreter for every Python function, and keep our settings out of its environment."""
    for name in SERVER_ONLY_VARIABLES:
        os.environ.pop(name, None)
    detect = seams.lambda_runtime._detect_runtime_binary
    python = str(images.lambda_python())

    def detect_bare(runtime: str) -> tuple[str, str]:
        program, script = detect(runtime)
        return (python if runtime.startswith("python") else program), script

    seams.lambda_runtime._detect_runtime_binary = detect_bare
