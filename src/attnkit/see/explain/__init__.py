"""Explanations of single predictions, and the verdict on each: one file a method."""

from attnkit.see.explain.attribution import Attribution as Attribution
from attnkit.see.explain.head_ablation import HeadEffect as HeadEffect
from attnkit.see.explain.head_ablation import rank_heads as rank_heads
from attnkit.see.explain.target import Item as Item
from attnkit.see.explain.target import Subject as Subject
from attnkit.see.explain.target import Target as Target
from attnkit.see.explain.texts import METHODS as METHODS
from attnkit.see.explain.texts import Explanations as Explanations
from attnkit.see.explain.texts import explain_items as explain_items
from attnkit.see.explain.texts import explain_texts as explain_texts
from attnkit.see.explain.verdict import Verdict as Verdict
