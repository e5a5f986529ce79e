"""The errors of the local account: one type per thing the caller can do about it.

LocalcloudError            something failed                          -> read the message (exit 1)
├── UsageError             an argument makes no sense                -> correct the command (exit 2)
├── ConfigurationError     not running, not supported, not found     -> start or install it (exit 3)
└── ConflictError          already running, port in use              -> stop the other or choose another (exit 5)
"""


class LocalcloudError(Exception):
    """Base of every error raised on purpose; its text is one line for a person."""

    exit_code = 1


class UsageError(LocalcloudError):
    """An argument makes no sense."""

    exit_code = 2


class ConfigurationError(LocalcloudError):
    """Something needed is not running, not installed or not supported."""

    exit_code = 3


class ConflictError(LocalcloudError):
    """Somebody else holds the state directory or the port."""

    exit_code = 5
