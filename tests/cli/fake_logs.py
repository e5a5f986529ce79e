"""CloudWatch Logs in memory: moto refuses events far from the real time, and the tests' clock stands still."""

from typing import Any

from botocore.exceptions import ClientError

PAGE = 3  # tiny pages: paging is always exercised


class FakeLogs:
    """One log group; `filterPattern` is noted and otherwise ignored."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.events: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []

    def write(self, at_ms: int, message: str) -> None:
        self.events.append({"eventId": str(len(self.events)), "timestamp": at_ms, "message": message})

    def filter_log_events(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        if request["logGroupName"] != self.group:
            said = "The specified log group does not exist."
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": said}}, "FilterLogEvents")
        found = [event for event in self.events if event["timestamp"] >= request["startTime"]]
        start = int(request.get("nextToken", 0))
        token = {"nextToken": str(start + PAGE)} if len(found) > start + PAGE else {}
        return {"events": found[start : start + PAGE], **token}
