"""attn bench: what each form of a run weighs, costs and answers, side by side."""
