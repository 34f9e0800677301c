"""What `serve` runs: sockets, one process that answers, or several."""
