"""See: what a model attends to, what its heads do, what changed, and how far an explanation can be trusted."""
