"""Rules for the hosts: instance metadata, disks, user data."""

import re
from collections.abc import Iterator
from typing import Final

from tools.guard.assembly import Assembly, Resource, as_list
from tools.guard.rule import Rule

KINDS: Final = ("AWS::EC2::LaunchTemplate",)
DATA: Final = "LaunchTemplateData"
HOPS: Final = 2
RESERVED: Final = re.compile(r"\bECS_(?:CLUSTER|INSTANCE_ATTRIBUTES)=")


def asks_for_tokens(template: Resource, _assembly: Assembly) -> Iterator[str]:
    options = template.get(f"{DATA}.MetadataOptions", {})
    if options.get("HttpTokens") != "required":
        yield f"HttpTokens is {options.get('HttpTokens')}, needs required: IMDSv1 gives credentials to any forged request"
    if options.get("HttpPutResponseHopLimit") != HOPS:
        yield (
            f"HttpPutResponseHopLimit is {options.get('HttpPutResponseHopLimit')}, needs {HOPS}: with 1 a container's "
            "request for a token hangs, with more it travels on"
        )


def encrypts_disks(template: Resource, _assembly: Assembly) -> Iterator[str]:
    devices = as_list(template.get(f"{DATA}.BlockDeviceMappings"))
    if not devices:
        yield "no BlockDeviceMappings: the root disk is as small and as open as the image's"
    for device in devices:
        if (device.get("Ebs") or {}).get("Encrypted") is not True:
            yield f"{device.get('DeviceName')} is not encrypted"


def gives_batch_its_user_data(template: Resource, assembly: Assembly) -> Iterator[str]:
    user_data = template.get(f"{DATA}.UserData")
    if user_data is None:
        return
    text = assembly.text(user_data, by=template)
    if "Content-Type: multipart/" not in text:
        yield "user data is not MIME multipart: Batch merges its own into it, and refuses anything else"
    for found in RESERVED.findall(text):
        yield f"user data sets {found}, which belongs to Batch: nothing would be scheduled, and paid for"


HOST_RULES: Final = (
    Rule(
        name="host-metadata",
        kinds=KINDS,
        demand="instance metadata wants tokens, and reaches containers: two hops",
        check=asks_for_tokens,
    ),
    Rule(name="host-disks", kinds=KINDS, demand="every disk of a host is encrypted", check=encrypts_disks),
    Rule(
        name="host-user-data",
        kinds=KINDS,
        demand="user data is MIME multipart and leaves Batch's variables alone",
        check=gives_batch_its_user_data,
    ),
)
