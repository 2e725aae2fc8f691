"""The part of a job that belongs to the policy ``bliss``: candidates, the regressors g and h, the pacer."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from fedswarm.jobs.rules import Rule
from fedswarm.jobs.section import Section, Text

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

MOST_LAYERS: Final = 8
MOST_UNITS: Final = 4096


def layer_sizes(text: str) -> tuple[int, ...]:
    """``"128,64"`` as numbers; raises ValueError for anything that is no list of layer sizes."""
    sizes = tuple(int(size) for size in text.split(","))
    if not all(1 <= size <= MOST_UNITS for size in sizes) or len(sizes) > MOST_LAYERS:
        raise ValueError(text)
    return sizes


def layers_are_numbers(hidden_layers: str) -> str | None:
    """The rule of ``hidden_layers``."""
    try:
        layer_sizes(hidden_layers)
    except ValueError:
        return (
            f"hidden_layers is {hidden_layers[:40]!r}; write at most {MOST_LAYERS} layer sizes from 1 to {MOST_UNITS},"
            ' such as "128,64"'
        )
    return None


class BoostedTreesSection(Section):
    """Settings of XGBoost, by its own names; the defaults are the published ones."""

    n_estimators: int = Field(300, ge=1, le=100_000, description="trees")
    learning_rate: Share = Field(0.05, description="how much of each tree counts")
    max_depth: int = Field(6, ge=1, le=64, description="levels of a tree")
    subsample: Share = Field(0.8, description="share of the rows that a tree sees")
    colsample_bytree: Share = Field(0.8, description="share of the features that a tree sees")


class PerceptronSection(Section):
    """Settings of the multilayer perceptron; the defaults are the published ones."""

    rules: ClassVar[tuple[Rule, ...]] = (Rule((("hidden_layers",),), layers_are_numbers),)

    hidden_layers: Text = Field("128,64", description="units of each hidden layer")
    epochs: int = Field(50, ge=1, le=100_000, description="passes over the rows")
    learning_rate: Positive = Field(1e-3, description="step size of Adam")
    batch_size: int = Field(256, ge=1, description="rows in a mini-batch")

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """:attr:`hidden_layers` as numbers."""
        return layer_sizes(self.hidden_layers)


class LinearSection(Section):
    """Settings of linear regression."""

    ridge: Positive = Field(1e-3, description="L2 penalty on coefficients of standardised features")


class RegressorSection(Section):
    """One of Bliss' regressors."""

    model: Literal["linreg", "mlp", "xgboost"] = Field(
        "linreg", description="kind of regressor; xgboost needs the extra fedswarm[bliss]"
    )
    linreg: LinearSection = Field(LinearSection(), description="settings of linreg")
    mlp: PerceptronSection = Field(PerceptronSection(), description="settings of mlp")
    xgboost: BoostedTreesSection = Field(BoostedTreesSection(), description="settings of xgboost")


class BlissSection(Section):
    """Bliss: choosing by predicted utility."""

    fidelity: Literal["paper", "reference"] = Field(
        "paper", description="as described, without the published code's known faults, or as that code does it"
    )
    ranking: Literal["top", "weighted"] = Field(
        "top", description="take the highest predictions, or draw with odds proportional to them"
    )
    predict_candidates: Count = Field(300, description="clients never heard of that are considered in a round")
    refresh_candidates: Count = Field(300, description="clients heard of that are considered in a round")
    predict_rows: Count = Field(500, description="most rows that g learns from")
    refresh_rows: Count = Field(500, description="most rows that h learns from")
    round_penalty: float = Field(2.0, ge=0, description="exponent of the penalty for slow clients; 0 is none")
    pacer_step: Count = Field(20, description="rounds in a window of the pacer, and between its decisions")
    pacer_delta: Positive = Field(50.0, description="virtual seconds by which the pacer moves t_budget_s")
    collect_data: bool = Field(False, description="write the rows that g and h learn from to the run folder")
    brands: Text | None = Field(None, description="JSON list of brands; absent: the published 28")
    model_clusters: Text | None = Field(None, description="JSON list of clusters of device models; absent: our 27")
    g: RegressorSection = Field(RegressorSection(), description="predicts clients never heard of")
    h: RegressorSection = Field(RegressorSection(), description="predicts clients heard of")
