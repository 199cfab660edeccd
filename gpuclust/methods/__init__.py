"""Registry of reducers and clusterers: entries, parameters and construction of estimators."""
