"""Boxes, tubes and segments: what is true of them whatever finds them."""
