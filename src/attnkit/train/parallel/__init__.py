"""One training in several processes: the group they form, the pieces they share, and how they are launched."""
