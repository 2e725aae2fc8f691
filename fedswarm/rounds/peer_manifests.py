"""How the weights of a job without an aggregator are published: under which names, and what fits the job.

``round`` of a manifest is the number of the exchange. A peer's update is ``<peer>`` where everybody is to have it, or
``<peer>/update`` where only neighbours are; the model with which it begins an exchange is ``<peer>/model``, for
neighbours that are behind, or ``<peer>/lasting`` if it is kept for long. What is not named so is none of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from blake3 import blake3

from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, Vector
from fedswarm.rounds.exchange_choice import chosen_chunk_bytes
from fedswarm.swarm.manifest import Key, Manifest, build_manifest, bytes_of

MODEL: Final = "/model"
LASTING_MODEL: Final = "/lasting"
NEIGHBOURS_UPDATE: Final = "/update"
WEIGHT_BYTES: Final = 4
MAX_SAMPLES: Final = 2**40
"""More than any one peer has; a claim beyond is a mistake or a lie."""


@dataclass(frozen=True)
class PeerManifests:
    """The manifests of one job and of its peer ``peer``.

    ``origin`` is a digest of layout and initial weights: average what began differently, and nothing is learnt.
    """

    job: str
    peer: str
    origin: str
    size: int
    chunk_bytes: int
    update_suffix: str

    @classmethod
    def of(cls, job: Job, peer: str, layout: Layout, initial: Vector) -> Self:
        """For a peer whose model has this layout and begins with these weights."""
        initial_digest = blake3(bytes_of(initial)).hexdigest()
        origin = blake3(f"{layout.schema_hash} {initial_digest}".encode()).hexdigest()
        chunk_bytes = chosen_chunk_bytes(job.exchange, layout.nbytes)
        suffix = NEIGHBOURS_UPDATE if job.exchange.reach == "neighbours" else ""
        return cls(job.job_name, peer, origin, layout.size, chunk_bytes, suffix)

    @property
    def chunk_weights(self) -> int:
        """Weights in a chunk; only the last may have fewer."""
        return self.chunk_bytes // WEIGHT_BYTES

    def update(self, exchange: int, weights: Vector, samples: int, importance: bytes = b"") -> Manifest:
        """Of this peer's own weights in an exchange; hashes them all."""
        return self._manifest(exchange, self.update_suffix, weights, samples, importance)

    def model(self, exchange: int, weights: Vector, *, lasts: bool = False) -> Manifest:
        """Of the model with which this peer begins an exchange; hashes it."""
        return self._manifest(exchange, LASTING_MODEL if lasts else MODEL, weights, 0, b"")

    def is_update(self, manifest: Manifest) -> bool:
        """Whether it names some peer's update."""
        return manifest.source == manifest.publisher + self.update_suffix

    def is_model(self, manifest: Manifest) -> bool:
        """Whether it names the model of some peer."""
        return self.is_lasting(manifest) or manifest.source == manifest.publisher + MODEL

    def is_lasting(self, manifest: Manifest) -> bool:
        """Whether it names a model that some peer keeps for long."""
        return manifest.source == manifest.publisher + LASTING_MODEL

    def update_key(self, peer: str, exchange: int) -> Key:
        """What names a peer's update."""
        return Key(exchange, peer + self.update_suffix)

    def model_key(self, peer: str, exchange: int, *, lasts: bool = False) -> Key:
        """What names a peer's model."""
        return Key(exchange, peer + (LASTING_MODEL if lasts else MODEL))

    def complaint(self, manifest: Manifest) -> str | None:
        """What of an update or a model does not fit this job, if anything."""
        if manifest.schema_hash != self.origin:
            return "it has another initial model; all peers need the same job file, data set and versions"
        if (manifest.dtype, manifest.total_bytes) != ("float32", self.size * WEIGHT_BYTES):
            return f"it offers {manifest.total_bytes} bytes of {manifest.dtype}, not {self.size} weights of float32"
        if manifest.chunk_bytes != self.chunk_bytes:
            return f"its chunks have {manifest.chunk_bytes} bytes, not {self.chunk_bytes}; set exchange.chunk_kib alike"
        if self.is_update(manifest) and not 0 < manifest.sample_count <= MAX_SAMPLES:
            return f"it claims to have trained on {manifest.sample_count} samples"
        return None

    def _manifest(self, exchange: int, suffix: str, weights: Vector, samples: int, importance: bytes) -> Manifest:
        return build_manifest(
            weights,
            job=self.job,
            round_index=exchange,
            source=self.peer + suffix,
            schema_hash=self.origin,
            chunk_bytes=self.chunk_bytes,
            sample_count=samples,
            importance=importance,
        )
