"""Pages and pictures to look at: HTML with no script from elsewhere and every piece of text escaped, and PNG."""
