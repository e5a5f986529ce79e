"""Auto Scaling's activities: what became of the launches for Batch's compute environments."""

from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any
from xml.sax.saxutils import escape

from localcloud.clock import iso
from localcloud.launches import Launch, Launches
from localcloud.seams import Response, Seams

PAGE = 100  # what DescribeScalingActivities returns at most

Query = Any  # the emulator's parsed query parameters


def install_scaling_activities(*, seams: Seams, launches: Launches) -> None:
    """Register the call. Its pages are not followed up: there is one."""
    seams.autoscaling._ACTION_MAP["DescribeScalingActivities"] = partial(_describe, seams, launches)


def _describe(seams: Seams, launches: Launches, query: Query) -> Response:
    autoscaling = seams.autoscaling
    group = autoscaling._p(query, "AutoScalingGroupName")
    since = _lower_bound(seams, query)
    most = min(int(autoscaling._p(query, "MaxRecords") or PAGE), PAGE)
    found = (one for one in launches.of(*seams.current()) if one.at >= since and group in ("", one.group))
    members = "".join(_member(one) for one in islice(found, most))
    body = f"<DescribeScalingActivitiesResult><Activities>{members}</Activities></DescribeScalingActivitiesResult>"
    response: Response = autoscaling._xml(200, "DescribeScalingActivitiesResponse", body)
    return response


def _lower_bound(seams: Seams, query: Query) -> float:
    """The filter StartTimeLowerBound, s since 1970; 0 without it."""
    for number in range(1, 11):
        prefix = f"Filters.member.{number}"
        if seams.autoscaling._p(query, f"{prefix}.Name") == "StartTimeLowerBound":
            text = seams.autoscaling._p(query, f"{prefix}.Values.member.1")
            return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    return 0.0


def _member(launch: Launch) -> str:
    failed = f"<StatusMessage>{escape(launch.message)}</StatusMessage>" if launch.message else ""
    said = f" Status Reason: {launch.message}" if launch.message else ""
    return (
        f"<member><ActivityId>{launch.id}</ActivityId><AutoScalingGroupName>{escape(launch.group)}</AutoScalingGroupName>"
        f"<Description>{escape('Launching a new EC2 instance.' + said)}</Description>"
        "<Cause>an instance was started in response to a difference between desired and actual capacity</Cause>"
        f"<StartTime>{iso(launch.at)}</StartTime><EndTime>{iso(launch.at)}</EndTime>"
        f"<StatusCode>{launch.status}</StatusCode>{failed}<Progress>100</Progress></member>"
    )
