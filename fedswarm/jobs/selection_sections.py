"""The part of a job that says who takes part in a round: one section a policy, and what all of them share.

Settings that are absent in a policy's section take the value of its ``fidelity``: of the paper, or of the reference
implementation where the two differ. The tables of these values stand beside the policies.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedswarm.jobs.bliss_sections import BlissSection
from fedswarm.jobs.rules import Rule, reachable_minimum
from fedswarm.jobs.section import Options, Section, Text

Fidelity = Literal["paper", "reference"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
AtLeastOne = Annotated[float, Field(ge=1)]
Percent = Annotated[float, Field(gt=0, le=100)]
Rounds = Annotated[int, Field(ge=-1)]
Count = Annotated[int, Field(ge=1)]


class OortSection(Section):
    """Oort (Lai et al., OSDI 2021); PyramidFL chooses its clients by the same settings."""

    fidelity: Fidelity = Field("paper", description="whose rules, where the paper and the reference differ")
    exploration_factor: Share = Field(0.9, description="share of the participants to be explored, before any decay")
    exploration_decay: Share = Field(0.98, description="multiplies that share every round")
    exploration_min: Share | None = Field(None, description="floor of that share; paper 0.2, reference 0.3")
    round_penalty: float = Field(2.0, ge=0, description="exponent of the penalty for slow clients; 0 is none")
    clip_bound: Share | None = Field(None, description="quantile that caps utilities; paper 0.95, reference 0.9")
    cut_off_util: Share | None = Field(
        None, description="clients above this share of the cut-off score can be drawn; paper 0.95, reference 0.05"
    )
    pacer_step: int = Field(20, ge=1, description="rounds in a window of the pacer, and between its decisions")
    pacer_delta: NotNegative | None = Field(
        None, description="how far the pacer moves; paper 5 (percentiles), reference 50 (virtual seconds)"
    )
    round_threshold: Percent = Field(
        30.0, description="paper: percentile of the clients' durations that is preferred at first"
    )
    blacklist_rounds: Rounds | None = Field(
        None, description="clients chosen more often are left out, -1 for none; paper 10, reference -1"
    )
    blacklist_max_len: Share = Field(0.3, description="largest share of the clients that is left out so")


class PyramidFLSection(Section):
    """PyramidFL (Li et al., MobiCom 2022)."""

    fidelity: Fidelity = Field("paper", description="whose formulas, where the original and the reference differ")
    dropout: bool = Field(True, description="the smaller a client's gradient, the less of its update it sends")
    adapt_steps: bool = Field(True, description="fast clients train more steps while they would wait for slow ones")
    dropout_low: float = Field(0.1, ge=0, lt=1, description="dropout of the client with the largest gradient")
    dropout_high: float = Field(0.6, ge=0, lt=1, description="dropout of the client with the smallest gradient")
    confidence_beta: Positive | None = Field(
        None, description="share of the waiting time that is turned into steps; paper 1, reference 0.7"
    )
    max_step_factor: AtLeastOne | None = Field(11.0, description="no more than so many times local_steps; null: any")
    max_local_epochs: Count | None = Field(5, description="no more passes over a client's shard; null: any")


class SelectionSection(Section):
    """Who takes part in a round."""

    rules = (Rule((("min_clients",), ("participants",)), reachable_minimum),)

    policy: Text = Field("random", description="random, oort, pyramidfl, bliss, or module:class of your own")
    options: Options = Field({}, description="keyword arguments of your own policy's class")
    participants: int = Field(20, ge=1, description="K: results that a round waits for")
    overcommitment: float = Field(1.3, ge=1, description="floor(K x overcommitment) clients are sampled")
    t_budget_s: float = Field(
        300.0, gt=0, description="virtual seconds a client is given; adaptive training's deadline"
    )
    min_clients: int = Field(1, ge=1, description="a round needs so many results; with fewer it is skipped")
    idle_step_s: float = Field(
        60.0, gt=0, description="virtual seconds that pass when too few of the clients online can finish a round"
    )
    max_skipped_rounds: int = Field(100, ge=1, description="rounds in a row with too few clients before giving up")
    oort: OortSection = Field(OortSection(), description="settings of the policies oort and pyramidfl")
    pyramidfl: PyramidFLSection = Field(PyramidFLSection(), description="further settings of the policy pyramidfl")
    bliss: BlissSection = Field(BlissSection(), description="settings of the policy bliss")
