"""Row slabs: any pairwise operator, some queries at a time, recomputed in the backward pass."""
