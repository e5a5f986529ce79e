from collections.abc import Iterator

import pytest

from tests.fakes.s3_input import S3Input, fake_s3


@pytest.fixture
def store() -> Iterator[S3Input]:
    with fake_s3() as made:
        yield made
