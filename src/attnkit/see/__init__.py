"""See: what a trained model attends to, and how far a picture of it can be trusted."""
