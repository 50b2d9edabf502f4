"""For every test, before anything imports numpy."""

import os

# The tests' matrices are small and their processes many: a thread for each core in each of them
# made the search tier's tests half as slow again. Children inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
