"""Pushes of releases, to another index here or to one elsewhere. Serves nobody: for any caller."""
