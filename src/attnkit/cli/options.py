"""Options that several verbs share."""

from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(help="Print one JSON document instead of text.", show_default=False)]
Force = Annotated[bool, Parameter(help="Overwrite what stands there.", show_default=False)]
AllowCode = Annotated[
    bool,
    Parameter(help="Let the recipe or operator name your own `module:Name`, which is imported.", show_default=False),
]
