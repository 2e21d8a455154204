"""File formats: reading what users give, checked against a declared shape."""
