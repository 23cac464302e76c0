"""The door: the command `attn`, one file a verb."""
