"""Loggers, provenance and the terminal: they listen to a sweep and decide nothing."""
