"""One file per question; each prints one table beside peers that it starts itself."""
