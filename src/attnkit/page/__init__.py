"""Self-contained HTML pages: no script from elsewhere, every piece of text escaped."""
