"""What sensors do in the triggerer."""
