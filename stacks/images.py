"""Container images: which one a family's workers run in, and who must be asked to pull it."""

import re

from stacks.families import Family
from stacks.settings import DeploySettings
from stacks.settings.combinations import IMAGE_SETTINGS

PUBLIC_IMAGE = "public.ecr.aws/docker/library/python:{python}-slim"
_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([a-z0-9._/-]+?)(?:[:@].*)?")


def worker_image(settings: DeploySettings, family: Family, *, python: str) -> str:
    """The image that was chosen for the family, or the public one with the Python that the wheels are for."""
    chosen: str = getattr(settings, IMAGE_SETTINGS[family.name])
    return chosen or PUBLIC_IMAGE.format(python=python)


def repository_arn(image: str, *, partition: str) -> str | None:
    """ARN of the private ECR repository that the image is in; None if it is somewhere else."""
    found = _ECR.fullmatch(image)
    if found is None:
        return None
    account, region, name = found.groups()
    return f"arn:{partition}:ecr:{region}:{account}:repository/{name}"
