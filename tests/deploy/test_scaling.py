"""Custom resources, whose schemas the validator lacks, against what they point at."""

import re

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from embedder_service.metrics import EmbedderMetrics
from embedder_service.pending import Wait


def test_the_embedder_scales_on_metrics_that_it_has(production):
    scaled = production.named("ScaledObject", "embedder")["spec"]
    [trigger] = scaled["triggers"]

    assert scaled.keys() == {
        *("scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval"),
        *("advanced", "triggers"),
    }
    assert production.named("Deployment", scaled["scaleTargetRef"]["name"])
    # AverageValue, the default, would divide a time by the number of pods.
    assert trigger["metricType"] == "Value"
    assert trigger["metadata"].keys() == {
        *("serverAddress", "query", "threshold", "ignoreNullValues"),
    }
    asked = set(re.findall(r"lookalike_\w+", trigger["metadata"]["query"]))
    assert asked
    assert asked <= exported()


def exported():
    registry = CollectorRegistry()
    EmbedderMetrics(registry).batch(1, [Wait(bulk=False, seconds=0.1)], 0.1)
    lines = generate_latest(registry).decode().splitlines()
    return {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}


def test_what_is_scaled_has_no_number_of_its_own(production):
    assert "replicas" not in production.named("Deployment", "embedder")["spec"]
    assert "replicas" not in production.named("StatefulSet", "search")["spec"]


def test_search_never_has_fewer_replicas_than_a_publish_waits_for(production):
    scaler = production.named("HorizontalPodAutoscaler", "search")["spec"]
    nightly = production.named("CronJob", "index-nightly")["spec"]["jobTemplate"]["spec"]
    [publish] = nightly["template"]["spec"]["containers"]
    [wait] = [arg for arg in publish["args"] if arg.startswith("--wait=")]

    assert scaler["scaleTargetRef"]["name"] == "search"
    assert int(wait.removeprefix("--wait=")) < scaler["minReplicas"]


def test_every_pod_that_has_metrics_is_scraped(production):
    monitor = production.named("PodMonitor", "lookalike")["spec"]
    [selector] = monitor["selector"]["matchExpressions"]
    [endpoint] = monitor["podMetricsEndpoints"]

    assert selector["operator"] == "In"
    for pod in production.services():
        assert pod.labels[selector["key"]] in selector["values"]
        assert endpoint["port"] in {each["name"] for each in pod.containers[0]["ports"]}


def test_jobs_reach_what_they_call_and_replicas_are_reached(production):
    ports = {
        each["metadata"]["name"]: {
            port["port"]
            for rule in each["spec"].get("ingress", []) + each["spec"].get("egress", [])
            for port in rule["ports"]
        }
        for each in production.of("NetworkPolicy")
    }

    assert ports == {
        "nothing-else": set(),
        "jobs": {53, 50051, 50052, 50062, 9151, 9161},
        "embedder": {50051, 50052, 9151},
        "search": {50061, 50062, 9161},
    }


def test_jobs_look_names_up_in_the_cluster_and_on_their_node(production):
    jobs = production.named("NetworkPolicy", "jobs")
    [names] = [
        rule["to"]
        for rule in jobs["spec"]["egress"]
        if {"port": 53, "protocol": "UDP"} in rule["ports"]
    ]

    assert {kind for each in names for kind in each} == {"namespaceSelector", "ipBlock"}
