"""Networks that hold an attention: embedding, encoder, attention pooling, head."""
