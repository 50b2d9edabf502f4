"""What the component monitoring brings: rules, dashboards, and labels that both know."""

import json

import yaml

from tools.monitoring.rules import groups
from tools.monitoring.slo import ALL


def test_rules_and_dashboards_come_with_the_component(production):
    rules = production.named("PrometheusRule", "lookalike")
    dashboards = production.named("ConfigMap", "lookalike-dashboards")

    assert rules["spec"] == groups()
    assert dashboards["metadata"]["labels"] == {"grafana_dashboard": "1"}
    uids = {json.loads(text)["uid"] for text in dashboards["data"].values()}
    assert uids == {"lookalike-service", "lookalike-operations"}
    # An object of an API server has at most 1 MiB.
    assert sum(map(len, dashboards["data"].values())) < 500_000


def test_a_pod_is_scraped_as_the_job_that_rules_know(production):
    monitor = production.named("PodMonitor", "lookalike")["spec"]
    [selector] = monitor["selector"]["matchExpressions"]
    [endpoint] = monitor["podMetricsEndpoints"]
    relabelled = {each["targetLabel"]: each for each in endpoint["relabelings"]}

    assert relabelled["job"]["replacement"] == "lookalike-$1"
    assert relabelled["instance"]["sourceLabels"] == ["__meta_kubernetes_pod_name"]
    known = ALL.removeprefix('job=~"lookalike-(').removesuffix(')"').split("|")
    assert sorted(selector["values"]) == sorted(known)


def test_the_nightly_jobs_name_is_the_one_that_alerts_ask_for(production):
    asked = yaml.safe_dump(groups())

    assert production.named("CronJob", "index-nightly")
    assert 'cronjob="index-nightly"' in asked
    claims = {each["metadata"]["name"] for each in production.of("PersistentVolumeClaim")}
    [template] = production.named("StatefulSet", "search")["spec"]["volumeClaimTemplates"]
    assert "store" in claims
    # Kubernetes names a StatefulSet's claims TEMPLATE-SET-NUMBER.
    assert 'persistentvolumeclaim=~"store|cache-search-.+"' in asked
    assert template["metadata"]["name"] == "cache"
