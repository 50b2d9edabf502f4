"""How Lookalike is watched: objectives, rules, alerts and dashboards, in one place.

`make docs` writes what Prometheus and Grafana read into deploy/monitoring; `make check` compares.
"""
