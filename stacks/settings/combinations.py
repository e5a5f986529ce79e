"""Context values that are right one by one and wrong together."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from stacks.settings.network import region_of

if TYPE_CHECKING:
    from stacks.families import FamilyName
    from stacks.settings.deploy_settings import DeploySettings

# Values that mean something only beside another one: what must be chosen, and whether it is.
NEEDS: "tuple[tuple[tuple[str, ...], str, Callable[[DeploySettings], bool]], ...]" = (
    (
        ("graviton_types", "graviton_spot_vcpus_max", "graviton_on_demand_vcpus_max", "worker_image_arm64"),
        "families with graviton in it",
        lambda chosen: "graviton" in chosen.families,
    ),
    (
        ("gpu_types", "gpu_spot_vcpus_max", "gpu_on_demand_vcpus_max", "worker_image_gpu"),
        "families with gpu in it",
        lambda chosen: "gpu" in chosen.families,
    ),
    (
        ("fargate_spot_vcpus_max", "fargate_on_demand_vcpus_max"),
        "families with fargate in it",
        lambda chosen: "fargate" in chosen.families,
    ),
    (
        ("instance_types", "spot_vcpus_max", "on_demand_vcpus_max", "spot_vcpus_min", "on_demand_vcpus_min"),
        "families with x86_64 in it",
        lambda chosen: "x86_64" in chosen.families,
    ),
    (("fair_share_reserve", "fair_share_decay_s"), "fair_shares", lambda chosen: bool(chosen.fair_shares)),
    (
        ("vpc_id", "subnet_ids", "vpc_zones"),
        "network to be existing or auto",
        lambda chosen: chosen.network in ("existing", "auto"),
    ),
    (
        ("zones", "vpc_cidr"),
        "a network of ours, not an existing one",
        lambda chosen: chosen.network_kind != "existing",
    ),
    (("budget_email",), "monthly_budget_usd", lambda chosen: chosen.monthly_budget_usd > 0),
)


# Which image a family's workers run in.
IMAGE_SETTINGS: "dict[FamilyName, str]" = {
    "x86_64": "worker_image",
    "graviton": "worker_image_arm64",
    "gpu": "worker_image_gpu",
    "fargate": "worker_image",
}


def flaw_in(chosen: "DeploySettings", *, defaults: "DeploySettings", region: str = "") -> str | None:
    """The first wrong combination, in one line that says what would be right; None if there is none.

    Args:
        region: of the deployment; empty if it is not known.
    """
    return next(_flaws(chosen, defaults, region), None)


def _flaws(chosen: "DeploySettings", defaults: "DeploySettings", region: str) -> Iterator[str]:
    if chosen.prefix != defaults.prefix and chosen.prefix.lower() == defaults.prefix.lower():
        yield (
            f"context value prefix must differ from {defaults.prefix} by more than capitals, because job definitions are "
            f"named in small letters, got {chosen.prefix!r}"
        )
    yield from _network_flaws(chosen)
    yield from _zone_flaws(chosen, region)
    for names, needed, holds in NEEDS:
        for name in names:
            if getattr(chosen, name) != getattr(defaults, name) and not holds(chosen):
                yield f"context value {name} means nothing without {needed}: choose that too, or leave {name} out"
    for least, most in (("spot_vcpus_min", "spot_vcpus_max"), ("on_demand_vcpus_min", "on_demand_vcpus_max")):
        if getattr(chosen, least) > getattr(chosen, most):
            yield (
                f"context value {least} must be at most {most}={getattr(chosen, most)}, got {getattr(chosen, least)}"
            )
    yield from _image_flaws(chosen)
    if chosen.monthly_budget_usd and not chosen.budget_email:
        yield "context value budget_email must be an address such as team@example.com for monthly_budget_usd, got ''"


def _image_flaws(chosen: "DeploySettings") -> Iterator[str]:
    """A private network reaches no public registry, and strict deployments pin what they run."""
    for name in dict.fromkeys(IMAGE_SETTINGS[family] for family in chosen.families):
        image: str = getattr(chosen, name)
        if chosen.network_kind == "private" and not image:
            yield (
                f"context value {name} must be an image that a private network reaches, such as "
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com/worker@sha256:…, got ''"
            )
        if chosen.strict and image and "@sha256:" not in image:
            yield (
                f"context value {name} must be an image with @sha256: and its digest where compliance is strict, "
                f"got {image!r}"
            )


def _network_flaws(chosen: "DeploySettings") -> Iterator[str]:
    if chosen.strict and chosen.network == "public":
        yield "context value network must be auto, private or existing where compliance is strict, got 'public'"
    if chosen.network_kind != "existing":
        if chosen.network == "auto" and (chosen.subnet_ids or chosen.vpc_zones):
            yield "context value vpc_id must be the network of subnet_ids and vpc_zones, got ''"
        return
    if not chosen.vpc_id:
        yield "context value vpc_id must be an id such as vpc-0123456789abcdef0 where network is existing, got ''"
    if not chosen.subnet_ids:
        yield "context value subnet_ids must be at least one subnet of vpc_id, got none"
    if len(set(chosen.subnet_ids)) < len(chosen.subnet_ids):
        yield "context value subnet_ids must be different subnets, got one twice"
    if len(chosen.vpc_zones) != len(chosen.subnet_ids):
        yield (
            f"context value vpc_zones must be the zone of each of the {len(chosen.subnet_ids)} subnet_ids, in their "
            f"order, got {len(chosen.vpc_zones)}"
        )


def _zone_flaws(chosen: "DeploySettings", region: str) -> Iterator[str]:
    """Batch would refuse hosts in another region's zones only when the stacks are being made."""
    allowed = region or next((region_of(zone) for zone in chosen.vpc_zones if region_of(zone)), "")
    told = f"zones of {allowed}, the region of this deployment" if region else f"zones of one region such as {allowed}"
    for zone in chosen.vpc_zones:
        if region_of(zone) != allowed:
            yield f"context value vpc_zones must be {told}, got {zone!r}"
