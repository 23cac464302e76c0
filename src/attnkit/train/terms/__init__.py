"""What stands in the objective beside the loss of the labels, one file a term."""
