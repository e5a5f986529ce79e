"""The sizes of the instance types that compute environments may launch, from EC2."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from spotproof.capacity.waiting_facts import InstanceSize
from spotproof.retries import Retrier

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_BUNDLES: Final = ("optimal", "default_x86_64", "default_arm64")  # Batch chooses what they mean, and may change it
_PAGE: Final = 100
_PAGES_MAX: Final = 10  # EC2 has fewer than a thousand types of all families that an environment would list


class InstanceSizes:
    """Reads each list of types once; sizes never change. Needs ec2:DescribeInstanceTypes."""

    def __init__(self, *, ec2: "EC2Client", retrier: Retrier) -> None:
        self._ec2 = ec2
        self._retrier = retrier
        self._known: dict[tuple[str, ...], tuple[InstanceSize, ...]] = {}

    def of_types(self, names: Sequence[str]) -> tuple[InstanceSize, ...]:
        """Sizes of the types and families named; types that the region lacks are left out, as Batch leaves them out.

        Empty if the list holds a bundle such as `optimal`.

        Raises:
            ClientError, AwsError: EC2 refused or stayed unavailable.
        """
        wanted = tuple(sorted(set(names)))
        if not wanted or set(wanted) & set(_BUNDLES):
            return ()
        if wanted not in self._known:
            self._known[wanted] = tuple(self._read(wanted))
        return self._known[wanted]

    def _read(self, names: Sequence[str]) -> Iterator[InstanceSize]:
        # A filter: the parameter InstanceTypes fails as a whole when the region lacks one of them.
        patterns = [name if "." in name else f"{name}.*" for name in names]
        token: dict[str, Any] = {}
        for _ in range(_PAGES_MAX):
            page = self._retrier.call(
                "looking up instance types",
                self._ec2.describe_instance_types,
                Filters=[{"Name": "instance-type", "Values": patterns}],
                MaxResults=_PAGE,
                **token,
            )
            for found in page["InstanceTypes"]:
                yield InstanceSize(
                    name=found["InstanceType"],
                    vcpus=found["VCpuInfo"]["DefaultVCpus"],
                    memory_mib=found["MemoryInfo"]["SizeInMiB"],
                )
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}
