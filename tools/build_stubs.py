"""Generates the gRPC stubs of ``proto/`` into the package: as a build hook, and by hand with ``make proto``.

The ``.proto`` tree mirrors the Python package (``proto/fedswarm/v1`` to ``fedswarm/v1``), so protoc's absolute imports
are right as they come and nothing has to be patched afterwards.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script, outside a build
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent.parent


def generate(root: Path = ROOT) -> list[Path]:
    """Writes ``fedswarm/v1`` under ``root`` from ``root/proto`` and returns the files made."""
    from grpc_tools import protoc

    sources = sorted((root / "proto" / "fedswarm" / "v1").glob("*.proto"))
    if not sources:
        raise SystemExit(f"no .proto files below {root / 'proto'}: is this a full checkout?")
    target = root / "fedswarm" / "v1"
    target.mkdir(parents=True, exist_ok=True)
    (target / "__init__.py").write_text(
        '"""Generated from proto/fedswarm/v1 by tools/build_stubs.py; never edited."""\n'
    )
    arguments = [
        "protoc",
        f"-I{root / 'proto'}",
        f"--python_out={root}",
        f"--pyi_out={root}",
        f"--grpc_python_out={root}",
        *map(str, sources),
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed; its message is above")
    return sorted(target.iterdir())


class StubsHook(BuildHookInterface):  # type: ignore[misc, valid-type]
    """Hatch build hook: the stubs exist before any wheel or editable install is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files."""
        generate(Path(self.root))


if __name__ == "__main__":
    for path in generate():
        print(path.relative_to(ROOT), file=sys.stderr)
