"""The search service: k-NN over memory-mapped, immutable index generations (CPU tier)."""
