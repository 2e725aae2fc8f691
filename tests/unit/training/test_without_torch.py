import subprocess
import sys

MODULES = [
    "fedswarm.data",
    "fedswarm.data.fetch",
    "fedswarm.data.idx",
    "fedswarm.data.partition",
    "fedswarm.models",
    "fedswarm.models.checkpoint",
    "fedswarm.models.layout",
    "fedswarm.models.sparse_update",
    "fedswarm.training",
    "fedswarm.training.adaptive_budget",
    "fedswarm.training.local_work",
    "fedswarm.training.losses",
    "fedswarm.training.steps",
    "fedswarm.training.task",
]


IMPORT_EACH = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "torch" in sys.modules:
        sys.exit(f"{name} imports torch")
"""


def test_planners_and_the_control_path_need_no_torch():
    done = subprocess.run([sys.executable, "-c", IMPORT_EACH, *MODULES], capture_output=True, text=True)
    assert done.stderr == ""
