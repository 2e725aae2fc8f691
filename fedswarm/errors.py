"""Every error fedswarm raises on purpose, and the exit code each ends a command with.

::

    FedswarmError                     1
      JobError                       10   the job file does not say what it must
      JobFileError                   11   the job file cannot be read at all
      DataError                      12   data are missing, unreadable or do not fit the job
      DependencyError                13   a package or system tool is missing
      ModelError                     14   a model cannot be built or does not fit its data
      TopologyError                  15   peers cannot be linked in the form asked for
      LaunchError                    20   a process of the cluster could not be started
        PortInUseError               21
      RunNotFoundError               22   no such run below ./runs
      RunFailedError                 30   the cluster started but could not finish
        NoParticipantsError          31   too few were available for too many rounds
        NumericRangeError            32   an update left the range in which sums are exact
      StoppedError                  130   somebody asked the run to end early
      WireError                      40   a peer said something the protocol forbids
        IntegrityError               41   bytes did not match their digest

Codes are part of the interface: documented in ``docs/exit-codes.md``, never re-used. 2 is a wrong command line, as in
every Unix tool.

A message holds the offending value and the way out. Nothing else of ours crosses a command's border, so a user never
sees a traceback unless fedswarm itself is wrong.
"""

from __future__ import annotations

from typing import ClassVar


class FedswarmError(Exception):
    """The root of the tree: a command ends with :attr:`exit_code` and this message."""

    exit_code: ClassVar[int] = 1


class JobError(FedswarmError):
    """The job file was read but is not a valid job; one line for each mistake."""

    exit_code = 10


class JobFileError(FedswarmError):
    """The job file is missing, unreadable or not YAML."""

    exit_code = 11


class DataError(FedswarmError):
    """A data set or a client map is missing, unreadable or inconsistent."""

    exit_code = 12


class DependencyError(FedswarmError):
    """A package or a system tool that this command needs is not installed."""

    exit_code = 13


class ModelError(FedswarmError):
    """A model name is unknown, its factory failed, or it does not fit the data."""

    exit_code = 14


class TopologyError(FedswarmError):
    """A topology does not fit its peers, or would not be connected."""

    exit_code = 15


class LaunchError(FedswarmError):
    """A process of the cluster could not be started or did not come up in time."""

    exit_code = 20


class PortInUseError(LaunchError):
    """Somebody else listens on a port that the job asks for."""

    exit_code = 21


class RunNotFoundError(FedswarmError):
    """No run of that name below the runs folder."""

    exit_code = 22


class RunFailedError(FedswarmError):
    """The cluster came up but the job could not be finished."""

    exit_code = 30


class NoParticipantsError(RunFailedError):
    """Too many rounds in a row found too few clients to train."""

    exit_code = 31


class NumericRangeError(RunFailedError):
    """A weighted update is not finite or leaves the range in which sums are exact."""

    exit_code = 32


class StoppedError(FedswarmError):
    """The run was ended early on request: by ``stop``, a signal or the Stop call."""

    exit_code = 130


class WireError(FedswarmError):
    """A message breaks the protocol: wrong version, size, order or content."""

    exit_code = 40


class IntegrityError(WireError):
    """Received bytes do not match the digest their manifest gives."""

    exit_code = 41
