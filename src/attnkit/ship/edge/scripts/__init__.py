"""What runs in the environment named by --tools-env; nothing here imports attnkit."""
