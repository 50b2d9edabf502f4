"""Where the model computes: one file an engine, and `choice`, which takes the fastest that agrees.

Only what is in here, the model and the training run torch.
"""
