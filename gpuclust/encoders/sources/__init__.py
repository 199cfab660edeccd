"""Sources of encoders, one module per source."""
