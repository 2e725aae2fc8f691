"""What every part of a job is made of."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fedswarm.jobs.rules import Rule

Text = Annotated[str, Field(min_length=1, max_length=4096)]
Options = dict[str, int | float | str | bool]


class Section(BaseModel):
    """A part of a job: immutable, and strict about unknown keys and types (the text ``"16"`` is not the number 16)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False)

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        for rule in self.rules:
            complaint = rule.complaint(*(attrgetter(".".join(path))(self) for path in rule.paths))
            if complaint is not None:
                raise ValueError(complaint)
        return self
