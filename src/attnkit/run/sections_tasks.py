"""The section of a recipe about several tasks that one encoder learns together."""

from typing import Annotated, Literal

from pydantic import Field

from attnkit.model.settings import Section

Paths = Annotated[tuple[str, ...], Field(strict=False, max_length=64)]


class TasksSettings(Section):
    """Further data files, each with labels of its own, that the same encoder learns from."""

    also: Paths = Field(
        (), description="further data files; each is a task with a classifier of its own, named like its file"
    )
    balance: Literal["none", "uncertainty", "upgrad"] = Field(
        "none",
        description="how the tasks' losses are added: none (the mean over rows), uncertainty (each by a variance that "
        "is learned), upgrad (a direction that lowers all of them)",
    )
    task_temperature: float = Field(
        1.0,
        ge=1,
        le=100,
        description="how far small tasks weigh more than their rows: a task of n rows weighs as n^(1 / temperature) "
        "(1: as its rows; balance none)",
    )
