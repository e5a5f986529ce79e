"""Prints the digest of a plan: run in another process with another hash seed."""

import io
import sys

from spotproof.shards.plan_file import encode_plan
from tests.contracts.shards.datasets import PUTS
from tests.fakes.s3_input import S3Input, fake_s3


def digest(store: S3Input, kind: str, shard_by: str) -> str:
    return encode_plan(store.plan(shard_by, kind), io.BytesIO())


def main() -> None:
    with fake_s3() as store:
        for put in PUTS.values():
            put(store)
        for argument in sys.argv[1:]:
            kind, _, shard_by = argument.partition("=")
            sys.stdout.write(f"{argument} {digest(store, kind, shard_by)}\n")


if __name__ == "__main__":
    main()
