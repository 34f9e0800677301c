"""Backups of a server directory, taken while it is served; and the way back."""
