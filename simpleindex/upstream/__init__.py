"""Another index, as it is asked: requests, connections, addresses, and which one pip uses."""
