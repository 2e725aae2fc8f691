"""Names of what travels between aggregator and executors, as the FedScale family has always spelt them.

They appear on the wire (``fedswarm.v1`` control messages) and in the logs that notebooks parse, so they never change.
"""

from __future__ import annotations

from typing import Final

UPDATE_MODEL: Final = "update_model"
MODEL_TEST: Final = "model_test"
CLIENT_TRAIN: Final = "client_train"
CLIENT_CONNECT: Final = "client_connect"
UPLOAD_MODEL: Final = "upload_model"
START_ROUND: Final = "start_round"
SHUT_DOWN: Final = "terminate_executor"
DUMMY_EVENT: Final = "dummy_event"
