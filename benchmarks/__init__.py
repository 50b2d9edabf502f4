"""One script a claim: prints a table, ends with one JSON line, keeps it under results/."""
