"""The simulated S3 and moto, one after the other."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from simulation.cloud.s3 import SimS3
from tests.simulation.moto_s3 import moto_s3
from tests.simulation.s3_like_the_service.asking import BUCKET, OTHER

NOW = datetime(2026, 11, 22, 12, 0, 1, 999_999, tzinfo=UTC)


@pytest.fixture(params=["simulated", "moto"])
def s3(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "simulated":
        yield SimS3((BUCKET, OTHER), now=lambda: NOW)
    else:
        with moto_s3(BUCKET, OTHER) as client:
            yield client
