"""Reads finished or running sweeps; changes nothing."""
