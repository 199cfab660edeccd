"""Sources of encoders, one module each."""
