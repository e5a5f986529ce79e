"""What both sides hold at the end."""

from collections.abc import Iterator
from typing import Any

from simulation.differential.answers import with_kept_numbers
from simulation.differential.known import KEEPS_ZEROS
from simulation.differential.twin import DataPlane
from simulation.workload import DATA_BUCKET, WORK_BUCKET
from simulation.world import World


def differing_contents(world: World, plane: DataPlane) -> list[str]:
    """Items and objects that are on one side only, or not the same, in words."""
    problems = _differences("item", {_key(item): item for item in world.table.items()}, _items(world, plane))
    for bucket in (DATA_BUCKET, WORK_BUCKET):
        problems += _differences(f"object of {bucket}", world.s3.objects(bucket), _objects(plane, bucket))
    return problems


def _differences(what: str, ours: Any, theirs: Any) -> list[str]:
    return [
        f"{what} {key}: the simulated side holds {ours.get(key)!r}, the other {theirs.get(key)!r}"
        for key in sorted({*ours, *theirs})
        if ours.get(key) != theirs.get(key)
    ]


def _key(item: Any) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _items(world: World, plane: DataPlane) -> dict[tuple[str, str], Any]:
    name = plane.names.get(world.table.name, world.table.name)
    pages = plane.dynamodb.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
    items = [item for page in pages for item in page["Items"]]
    return {_key(item): item for item in (with_kept_numbers(items) if plane.emulator in KEEPS_ZEROS else items)}


def _objects(plane: DataPlane, bucket: str) -> dict[str, bytes]:
    name = plane.names.get(bucket, bucket)
    return {key: plane.s3.get_object(Bucket=name, Key=key)["Body"].read() for key in _keys(plane, name)}


def _keys(plane: DataPlane, bucket: str) -> Iterator[str]:
    for page in plane.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            yield entry["Key"]
