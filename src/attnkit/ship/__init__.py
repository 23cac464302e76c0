"""SHIP: a run as a file that predicts elsewhere, with the proof that it answers as the run does."""
