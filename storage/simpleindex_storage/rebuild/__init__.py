"""Making a lost or damaged catalog anew: from the journal and its state, or from files alone."""
