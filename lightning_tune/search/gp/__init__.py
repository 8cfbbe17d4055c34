"""The Gaussian process of `BayesianSearch`: pure functions of arrays, in NumPy and SciPy's linear algebra."""
