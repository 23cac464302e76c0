"""SHIP: a run as a file that predicts elsewhere, with the proof that it answers as the run does."""

from attnkit.ship.shipping import Shipped, Wishes, ship, verify_shipped

__all__ = ["Shipped", "Wishes", "ship", "verify_shipped"]
