"""Instance metadata without a network."""

from collections.abc import Mapping

from spotproof.interruptions.imds import ROOT, MetadataResponse

TOKEN = "token-1"


class ScriptedTransport:
    """Gives the facts of one host by their path below latest/meta-data/; does not answer the first `busy` requests."""

    def __init__(self, facts: Mapping[str, str], *, busy: int = 0) -> None:
        self.facts = facts
        self.busy = busy

    def request(self, method: str, path: str, headers: Mapping[str, str]) -> MetadataResponse:
        self.busy -= 1
        if self.busy >= 0:
            raise TimeoutError("busy")
        if method == "PUT":
            return MetadataResponse(status=200, body=TOKEN.encode())
        if headers.get("X-aws-ec2-metadata-token") != TOKEN:
            return MetadataResponse(status=401, body=b"")
        fact = self.facts.get(path.removeprefix(ROOT))
        return MetadataResponse(status=404 if fact is None else 200, body=(fact or "").encode())
