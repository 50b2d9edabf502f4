"""What the tiers outlive, done to them on purpose: one script a claim.

`make proof-search`, `make proof-embed`.
"""
