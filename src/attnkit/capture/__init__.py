"""What attention did: recorded while a model runs, counted without its maps, kept in one file."""
