"""The tree of errors: one type per action the caller can take.

SpotproofError
├── ConfigurationError        a setting or argument is missing or wrong   -> fix it and start again (exit 3)
├── InputError                the input can't be processed as it is       -> fix the input (exit 2)
│   └── InputChangedError     an object differs from the plan's pin       -> restore it or start a new run
├── RunConflictError          the run exists with other parameters        -> choose another run id (exit 5)
├── RunNotFoundError          no such run                                 -> check the run id (exit 102)
├── ItemError                 an item of the table is damaged             -> report it; never guess
│   └── ItemTooNewError       written by a newer schema                   -> upgrade the worker or command line
├── LeaseLostError            our fencing token is stale                  -> stop writing this shard
├── SessionLostError          our session is fenced or ended              -> stop leasing, exit to be retried
├── CheckpointError
│   ├── CheckpointCorruptError   digest mismatch or malformed             -> fall back to the previous generation
│   ├── CheckpointLateError      no time left before the deadline         -> let go of what was saved before
│   └── CheckpointTooNewError    written by a newer schema                -> upgrade the worker; never rewrite
├── EventRejectedError        forged or malformed event                   -> count and drop it
├── StopFileError             a stop file is damaged or too new           -> go by the other sources of notices
├── UserCodeError             the job's own code raised                   -> record it on the shard, go on
│   ├── UnsavableValueError   state holds a type that can't be saved      -> store plain values instead
│   └── OutputValueError      an output value, file or name is not usable -> return plain values or tables
├── ScratchFullError          the disk for scratch files is full          -> more disk or smaller shards
├── NoThreadError             the system gives no further thread          -> do without it, or later; nothing was begun
├── OutputDamagedError        a committed, staged object is gone or other -> never publish it; run again
├── OutputConflictError       other bytes sit at a final key              -> use an output prefix of its own
└── AwsError                  AWS refused or stayed unavailable
    ├── AwsAccessError        no permission                               -> grant it (exit 4)
    │   └── AwsIdentityError  credentials expired, or the clock is wrong  -> another host may do better (exit 4)
    ├── AwsMissingError       table, bucket or object is gone             -> deploy or check the name (exit 4)
    └── AwsUnavailableError   throttled or down beyond our patience       -> try again later (exit 4)
"""

from typing import Final

LINE_CHARS_MAX: Final = 1600
_HEAD_CHARS: Final = 1000  # what is wrong stands in front, what would be right at the end; a long value between them
# What reading data of another shape raises; RecursionError: JSON that is nested deeper than Python goes.
MALFORMED: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


class SpotproofError(Exception):
    """Base of every error this product raises on purpose; its text is one line for a person."""

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """The text as one line of at most LINE_CHARS_MAX: what does not print is escaped, a long middle left out.

    Errors quote what others wrote; neither a terminal nor a log is to obey it or to drown in it.
    """
    line = _shortened(text)
    if line.isprintable():
        return line
    escaped = (each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in line)
    return _shortened("".join(escaped))


def _shortened(text: str) -> str:
    if len(text) <= LINE_CHARS_MAX:
        return text
    tail = text[_HEAD_CHARS - LINE_CHARS_MAX :]
    return f"{text[:_HEAD_CHARS]} … ({len(text):,} characters) … {tail}"


class ConfigurationError(SpotproofError):
    """A setting or an argument is missing or wrong."""


class InputError(SpotproofError):
    """The input can't be processed as it is."""


class InputChangedError(InputError):
    """An input object differs from what the plan pinned."""


class RunConflictError(SpotproofError):
    """The run exists with other parameters."""


class RunNotFoundError(SpotproofError):
    """There is no such run."""


class ItemError(SpotproofError):
    """An item of the table is damaged or was edited by hand."""


class ItemTooNewError(ItemError):
    """An item of the table was written by a newer schema than this program knows."""


class LeaseLostError(SpotproofError):
    """Another owner may hold the shard: our fencing token is stale."""


class SessionLostError(SpotproofError):
    """Our session was fenced or has ended."""


class CheckpointError(SpotproofError):
    """A checkpoint can't be used."""


class CheckpointCorruptError(CheckpointError):
    """A checkpoint is damaged, foreign or malformed."""


class CheckpointLateError(CheckpointError):
    """A save was given up because its deadline came; the previous checkpoint stands."""


class CheckpointTooNewError(CheckpointError):
    """A checkpoint was written by a newer schema than this worker knows."""


class EventRejectedError(SpotproofError):
    """An event is forged or malformed; handling it again would not help."""


class UserCodeError(SpotproofError):
    """The job's own code failed on a shard."""


class UnsavableValueError(UserCodeError):
    """The state holds a value of a type that a checkpoint can't carry."""


class OutputValueError(UserCodeError):
    """The job's output has a type, a file or a name that can't be committed."""


class ScratchFullError(SpotproofError):
    """The disk for scratch files is full; nothing was committed."""


class OutputDamagedError(SpotproofError):
    """A staged object that a commit names is missing or has other content."""


class OutputConflictError(SpotproofError):
    """Other bytes already sit at a final output key; they are never overwritten."""


class AwsError(SpotproofError):
    """AWS refused a request or stayed unavailable."""


class AwsAccessError(AwsError):
    """The caller has no permission."""


class AwsIdentityError(AwsAccessError):
    """The caller's credentials have expired, or its clock is wrong: true of this host, not of the role."""


class AwsMissingError(AwsError):
    """A table, bucket, queue or object does not exist."""


class AwsUnavailableError(AwsError):
    """AWS throttled or failed beyond the caller's patience."""
