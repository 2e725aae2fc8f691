"""What ``run.json`` says: where a run stands and which processes it consists of."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from fedswarm.launch.processes import ProcessIdentity

Ending = Literal["finished", "failed", "stopped"]
Phase = Literal["starting", "running"] | Ending
OVER: Final = frozenset({"finished", "failed", "stopped"})
INTERRUPTED: Final = 130  # exit code of a run that the user ended
SUPERVISOR_GONE: Final = "its supervisor is gone (killed, the disk is full, or the machine went down)"


class ProcessRecord(BaseModel):
    """One process of the cluster."""

    model_config = ConfigDict(frozen=True)

    identity: ProcessIdentity
    target: str | None = None  # host:port it serves on, once it does
    has_ended: bool = False
    exit_code: int | None = None  # negative: ended by that signal; None while it runs, or when nobody could ask


class RunEvent(BaseModel):
    """Something worth telling that did not end the run; ``lost`` is the role of the process that has ended, if any."""

    model_config = ConfigDict(frozen=True)

    at: str
    text: str
    lost: str | None = None


class RunState(BaseModel):
    """The content of ``run.json``. Instants (``_at``) are wall-clock times in ISO 8601 with their zone."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    job_name: str
    state: Phase = "starting"
    detached: bool = False
    created_at: str
    ended_at: str | None = None
    text_log: str
    supervisor: ProcessIdentity  # whoever answers for the run: at the very start the driver
    processes: dict[str, ProcessRecord] = {}
    events: tuple[RunEvent, ...] = ()
    exit_code: int | None = None
    error: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of the run can change any more."""
        return self.state in OVER

    def observed(self) -> RunState:
        """This state, corrected when the supervisor died without writing the run's end."""
        if self.is_over or self.supervisor.is_alive():
            return self
        return self.model_copy(update={"state": "failed", "error": SUPERVISOR_GONE, "exit_code": 30})

    def survivors(self) -> list[ProcessIdentity]:
        """Every recorded process that still runs, the supervisor last."""
        recorded = [record.identity for record in self.processes.values()]
        return [identity for identity in (*recorded, self.supervisor) if identity.is_alive()]
