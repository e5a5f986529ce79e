"""Which account, region and deployment a command talks to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from spotproof import contract
from spotproof.errors import InputError
from spotproof.settings import AwsSettings, is_endpoint
from spotproof_cli.global_options import GlobalOptions
from spotproof_cli.local_account import LocalAccount

_PREFIX: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-\d{1,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the stacks `<prefix>-State` and `<prefix>-Compute` are."""

    aws: AwsSettings
    prefix: str


def resolve_target(options: GlobalOptions, env: Mapping[str, str]) -> Target:
    """Options win over the environment.

    Raises:
        InputError: an option is malformed.
        ConfigurationError: an environment variable is malformed, or --local is given and no local account runs.
    """
    prefix = options.prefix or env.get(contract.ENV_STACK) or contract.DEFAULT_STACK_PREFIX
    if not _PREFIX.fullmatch(prefix):
        raise InputError(f"--prefix must be a letter, then letters, digits and -, at most 100, got {prefix!r}")
    aws = LocalAccount.find(env).aws_settings() if options.local else _from_options(options, env)
    return Target(aws=aws, prefix=prefix)


def _from_options(options: GlobalOptions, env: Mapping[str, str]) -> AwsSettings:
    if options.region is not None and not _REGION.fullmatch(options.region):
        raise InputError(f"--region must look like eu-central-1, got {options.region!r}")
    if options.endpoint_url is not None and not is_endpoint(options.endpoint_url):
        raise InputError(f"--endpoint-url must be a URL such as http://127.0.0.1:4566, got {options.endpoint_url!r}")
    endpoint = {"AWS_ENDPOINT_URL": options.endpoint_url} if options.endpoint_url else {}
    settings = AwsSettings.from_env({**env, **endpoint})
    return replace(settings, region=options.region or settings.region, profile=options.profile)
