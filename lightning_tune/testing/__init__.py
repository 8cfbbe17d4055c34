"""Contract suites that every implementation of a plug point passes; only tests import this."""
