"""In what weights are stored and multiplied: the last step of a point, which needs no training."""

from attnkit.model.changes import BFloat16, Change, DynamicInt8, IntegerWeights

NUMBERS: dict[str, tuple[Change, ...]] = {
    "float32": (),
    "bfloat16": (BFloat16(),),
    "8 bits": (IntegerWeights(bits=8),),
    "4 bits": (IntegerWeights(bits=4),),
    # Linear maps first: what is left for whole numbers then are the tables.
    "int8 products": (DynamicInt8(), IntegerWeights(bits=8)),
}
