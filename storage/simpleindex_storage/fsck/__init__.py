"""Checking a server directory, and mending it: a record has its bytes, bytes have a record."""
