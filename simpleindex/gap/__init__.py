"""Across the air gap: the kinds of hosts of a closed site, and what each of them can install."""
