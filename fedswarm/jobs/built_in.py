"""Names that a job can use without bringing anything: what the rooms that import torch have, known without it."""

from __future__ import annotations

from typing import Final

MODELS: Final = ("lr", "mlp", "cnn", "resnet18")
EMBEDDED_DATA_SET: Final = "fashion_mnist"
IDX_DATA_SETS: Final = ("fashion_mnist", "mnist")  # read from IDX files; any other from NAME.npz
POPULATIONS: Final = ("static", "default")
PARTITIONS_WITH_OWN_CLIENTS: Final = ("natural", "data_map")  # the data say how many clients there are
POLICIES: Final = ("random", "oort", "pyramidfl", "bliss")
