"""Bundles: what is carried across the gap, how it is written, checked and taken in."""
