"""Files to batches: readers, schema, checks and splits here; tokenizers in `tokens`, batches in `batches`."""

from attnkit.data.examples import Example, to_examples
from attnkit.data.readers import read
from attnkit.data.schema import Schema, infer_schema
from attnkit.data.split import Splits, folds, make_splits, split_ids
from attnkit.data.table import Row, Table

__all__ = [
    "Example",
    "Row",
    "Schema",
    "Splits",
    "Table",
    "folds",
    "infer_schema",
    "make_splits",
    "read",
    "split_ids",
    "to_examples",
]
