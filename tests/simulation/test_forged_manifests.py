"""Forged manifests are refused by whoever decodes or restores them: the deed must not be a harmless one."""

import dataclasses
import json
import random
from typing import Any

import pytest

from simulation.checks.generations import GenerationCheck
from simulation.faults.forged_manifests import FORGERIES
from simulation.fold import KINDS
from simulation.scenario import TINY_PORTIONS, draw_scenario
from simulation.world import World, silence
from spotproof.checkpoints.manifest import Manifest, decode_manifest, encode_manifest, seal
from spotproof.checkpoints.serializers import serializer_for
from spotproof.errors import CheckpointCorruptError, CheckpointTooNewError


@pytest.fixture(scope="module")
def rich() -> Manifest:
    """A manifest that a calm world wrote, with maps, packs, files and a chain of deltas."""
    silence()
    drawn = draw_scenario(1)
    workload = dataclasses.replace(drawn.workload, keeps=frozenset(KINDS), pace_s=2.0, batch_records=1)
    options = {**drawn.options, "checkpoint_interval_s": "1"}
    world = World(
        dataclasses.replace(drawn, rates={}, workload=workload, options=options, in_portions=TINY_PORTIONS[0])
    )
    generations: GenerationCheck = world.checks[GenerationCheck]  # type: ignore[assignment]
    assert not world.run_to_end().violations
    return max(generations.manifests(), key=lambda each: len(each.segments))


def body_of(manifest: Manifest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode_manifest(manifest))
    del body["root"]
    return body


def read(data: bytes, as_if: Manifest) -> Manifest:
    """What a worker makes of the bytes before it reads anything they name."""
    manifest = decode_manifest(data, run_id=as_if.run_id, shard=as_if.shard, key=as_if.key)
    serializer_for(manifest.serializer)
    return manifest


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_manifest_is_refused(name: str, rich: Manifest) -> None:
    body = body_of(rich)

    assert FORGERIES[name](body, random.Random(1))
    with pytest.raises((CheckpointCorruptError, CheckpointTooNewError)):
        read(seal(body), rich)


def test_sealed_again_without_a_change_it_is_the_same(rich: Manifest) -> None:
    body = body_of(rich)

    assert read(seal(body), rich) == rich
