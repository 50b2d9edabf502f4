"""The `lookalike` command: thin; every verb calls one of the packages. One file a group."""
