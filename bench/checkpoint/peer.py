"""What is compared with: boto3's managed transfers with their defaults."""

import io
from typing import Any, Final

from bench.checkpoint.changes import Rows
from bench.checkpoint.clocks import Took, took

KEY: Final = "peer"


class Boto3Transfers:
    """Uploads and downloads the whole array."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def upload(self, rows: Rows) -> Took:
        """The array as it is now; making the stream that boto3 reads is not counted."""
        stream = io.BytesIO(rows.reshape(-1).data)
        with took() as measured:
            self._client.upload_fileobj(stream, self._bucket, KEY)
        return measured

    def download(self) -> Took:
        """Into memory that grows as it comes, as `download_fileobj` into a BytesIO does."""
        stream = io.BytesIO()
        with took() as measured:
            self._client.download_fileobj(self._bucket, KEY, stream)
        return measured
