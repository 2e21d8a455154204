"""Snippets of untrimmed videos, as SSN sees them: from which frames, when, cut how."""
