"""What attention is: frozen parts with dense reference mathematics, on torch alone."""
