"""The loop: the only folder that sees everything."""
