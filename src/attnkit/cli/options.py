"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(help="Print one JSON document instead of text.", show_default=False)]
Force = Annotated[bool, Parameter(help="Overwrite what stands there.", show_default=False)]
AllowCode = Annotated[
    bool,
    Parameter(help="Import your own `module:Name` where one is named; open programs of torch.", show_default=False),
]
Source = Annotated[Path, Parameter(help="Run directory, folder of a transformers model, .gguf or .attn file.")]
Text = Annotated[list[str] | None, Parameter(help="A text; may be given several times.")]
Data = Annotated[Path | None, Parameter(help="Data file, of which the first rows are taken.")]
Out = Annotated[
    list[Path] | None, Parameter(help="File for it: .html, .attn, .png, .svg or .pdf; may be given several times.")
]
