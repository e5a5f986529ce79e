"""What workers are made from, and which data they may reach."""

import re
from dataclasses import dataclass

from stacks.settings.declaration import setting
from stacks.settings.kinds import Text, Words

# Repository with an optional registry, then a tag, a digest, or both (distribution reference grammar, in short).
IMAGE_FORM = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::[0-9]{1,5})?/)?[a-z0-9]+(?:[._/-]{1,2}[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
IMAGE = Text(
    IMAGE_FORM, "an image such as registry.example/worker:1 or one with @sha256: and 64 hex digits", may_be_empty=True
)
PLATFORM = Text(
    re.compile(r"host|manylinux_2_[0-9]{1,3}_x86_64"),
    "host or like manylinux_2_28_x86_64 (wheels of Graviton come with -c families=x86_64,graviton)",
)
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Workers"""

    worker_image: str = setting(
        IMAGE,
        "",
        "Your image of families x86_64 and fargate; none: the public Python image of the interpreter at synthesis.",
    )
    worker_image_arm64: str = setting(IMAGE, "", "The same of family graviton.")
    worker_image_gpu: str = setting(
        IMAGE, "", "The same of family gpu; the host brings the NVIDIA driver, wheels their CUDA."
    )
    worker_platform: str = setting(
        PLATFORM,
        "manylinux_2_28_x86_64",
        "Of the workers' wheels, as old as the images' C library; `host`: this machine's, for a local account.",
    )
    data_buckets: tuple[str, ...] = setting(
        Words(BUCKET, "bucket names without s3:// and *"),
        (),
        "Existing buckets that jobs may read and write besides the stack's own.",
    )

    def wheel_platform(self, architecture: str) -> str:
        """The wheels' platform tag for hosts of this architecture, x86_64 or arm64 (EC2's names)."""
        if self.worker_platform == "host" or architecture == "x86_64":
            return self.worker_platform
        return self.worker_platform.replace("x86_64", "aarch64")
