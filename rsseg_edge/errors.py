"""The two ways in which a user's request fails; the command line maps each to one line and an exit code."""


class RssegError(Exception):
    """Something went wrong outside this program: a corrupt file, a full disk, a lost stream. Exit code 1.

    The message is one line that names the thing at fault and the way out.
    """

    exit_code = 1


class UsageError(RssegError):
    """The request itself cannot be met: an unknown model, a missing file, a wrong option. Exit code 2."""

    exit_code = 2
