"""What the search tier outlives, done to it on purpose: one script a claim, `make proof-search`."""
