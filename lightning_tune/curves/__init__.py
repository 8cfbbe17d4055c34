"""Learning curves: parametric families, and what a partial curve says of its continuation."""
