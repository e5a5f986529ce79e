"""The same seeds in the simulation and on the local account's table and buckets, over HTTP."""

import pytest

from simulation.differential.comparison import compare, modest_seeds
from simulation.differential.known import Emulator
from simulation.differential.twin import DataPlane
from simulation.worker import TABLE
from simulation.workload import DATA_BUCKET, WORK_BUCKET
from tests.fakes.table import create_table
from tests.local.account import TestAccount

SEEDS = 5


@pytest.fixture(params=range(SEEDS))
def plane(request: pytest.FixtureRequest, cloud: TestAccount) -> DataPlane:
    """A table and two buckets of the account for one world."""
    dynamodb, s3 = cloud.client("dynamodb"), cloud.client("s3")
    names = {name: f"{name}-world-{request.param}" for name in (TABLE, DATA_BUCKET, WORK_BUCKET)}
    create_table(dynamodb, names[TABLE])
    for bucket in (DATA_BUCKET, WORK_BUCKET):
        s3.create_bucket(Bucket=names[bucket])
    return DataPlane(emulator=Emulator.LOCAL_ACCOUNT, dynamodb=dynamodb, s3=s3, names=names)


def test_a_seed_runs_on_the_local_account_as_in_the_simulation(
    plane: DataPlane, request: pytest.FixtureRequest
) -> None:
    seed = modest_seeds(SEEDS)[request.node.callspec.params["plane"]]

    compared = compare(seed, plane)

    assert not compared.problems, f"seed {seed}: {compared.problems[0]}"
    assert sum(compared.asked.values()) >= 60
