"""Looking a site over: what there is, what of it is unsafe or broken, and what to do about it."""
