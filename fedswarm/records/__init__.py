"""What a run leaves behind: the round log's schema, writer and reader, its FedScale text form, progress and plots."""

from fedswarm.records.reader import read_records
from fedswarm.records.run_frames import RunFrames, read_run

__all__ = ["RunFrames", "read_records", "read_run"]
