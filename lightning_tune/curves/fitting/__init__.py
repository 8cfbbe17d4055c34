"""How the prior that comes with the package was fitted; `scripts/fit_curves.py` calls it. Needs torch."""
