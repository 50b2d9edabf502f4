"""Every overlay, as an API server and a platform engineer would read it."""

import copy

import kubernetes_validate
import pytest
from lookalike_client._environment import Settings

from embedder_service.config import EmbedderConfig
from lookalike_kit.config import describe, read
from lookalike_kit.server import END_SECONDS, LIVE
from search_service.config import SearchConfig

# The oldest that has every field used, and the newest whose schemas the validator brings.
VERSIONS = ("1.27", "1.37")
CUSTOM = {
    "Certificate": "cert-manager.io/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ScaledObject": "keda.sh/v1alpha1",
}
TIERS = {
    "embedder": ("LOOKALIKE_EMBEDDER_", EmbedderConfig),
    "search": ("LOOKALIKE_SEARCH_", SearchConfig),
}
# What Kubernetes and the libraries read, not we.
FOREIGN_VARIABLES = {"OPENBLAS_NUM_THREADS"}


def tier_of(pod):
    """ "embedder" or "search"; a second embedder is one too."""
    [container] = pod.spec["containers"]
    return container["name"]


def defaults(tier):
    prefix, kind = TIERS[tier]
    return {setting.name: setting.default for setting in describe(kind, prefix)}


def settings_of(rendered, pod):
    [container] = pod.containers
    return defaults(tier_of(pod)) | rendered.environment(container)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_has_only_fields_that_its_schema_knows(rendered, version):
    assert rendered.resources
    for each in rendered.resources:
        if each["kind"] in CUSTOM:
            assert each["apiVersion"] == CUSTOM[each["kind"]]
        else:
            kubernetes_validate.validate(each, version, strict=True)


def test_everything_is_in_the_namespace_that_it_brings(rendered):
    """What has no namespace goes into the one that kubectl is in: a policy would close that."""
    for each in rendered.resources:
        if each["kind"] != "Namespace":
            assert each["metadata"].get("namespace") == "lookalike", each["metadata"]["name"]


def test_a_field_that_is_mistyped_is_found(production):
    deployment = copy.deepcopy(production.named("Deployment", "embedder"))
    deployment["spec"]["template"]["spec"]["enableServiceLink"] = False

    with pytest.raises(kubernetes_validate.ValidationError, match="enableServiceLink"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


def test_no_pod_has_rights_that_it_does_not_need(rendered):
    for pod in rendered.pods():
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False
        assert pod.spec["securityContext"]["runAsNonRoot"] is True
        assert pod.spec["securityContext"]["runAsUser"] == 65532
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        account = rendered.named("ServiceAccount", pod.spec["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_every_container_says_what_it_needs_and_none_is_throttled(rendered):
    for pod in rendered.pods():
        for container in pod.containers:
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys()
            assert "memory" in resources["limits"]
            assert "cpu" not in resources["limits"]


def test_only_jobs_write_to_the_store(rendered):
    for pod in rendered.pods():
        for container in pod.containers:
            mounts = [each for each in container["volumeMounts"] if each["name"] == "store"]
            writes = any(not each.get("readOnly") for each in mounts)
            assert not writes or pod.labels["app.kubernetes.io/component"] == "jobs"
            assert all(each["name"] != "photos" or each["readOnly"] for each in mounts)


def test_every_mount_has_its_volume_and_every_reference_its_resource(rendered):
    claims = {each["metadata"]["name"] for each in rendered.of("PersistentVolumeClaim")}
    for pod in rendered.pods():
        own = [
            each["metadata"]["name"] for each in pod.owner["spec"].get("volumeClaimTemplates", [])
        ]
        for container in pod.containers:
            for mount in container["volumeMounts"]:
                if mount["name"] in own:
                    continue
                claim = pod.volume(mount["name"]).get("persistentVolumeClaim")
                # A second embedder is put beside what is there.
                assert claim is None or claim["claimName"] in claims or not claims
            rendered.environment(container)


def test_a_process_starts_with_the_settings_that_it_is_given(rendered):
    """It would stop at a name that it does not know, or a value that it cannot mean or misses."""
    for pod in rendered.services():
        prefix, kind = TIERS[tier_of(pod)]
        given = rendered.environment(pod.containers[0])
        read(kind, prefix, given)
        assert {name for name in given if not name.startswith(prefix)} <= FOREIGN_VARIABLES


def test_the_ports_of_pods_services_and_probes_are_those_of_the_process(rendered):
    for pod in rendered.services():
        prefix, _ = TIERS[tier_of(pod)]
        settings = settings_of(rendered, pod)
        addresses = {
            name: settings[f"{prefix}{setting}"]
            for name, setting in (
                ("grpc", "ADDRESS"),
                ("admin", "ADMIN_ADDRESS"),
                ("metrics", "METRICS_ADDRESS"),
                ("probe", "PROBE_ADDRESS"),
            )
            if settings[f"{prefix}{setting}"]
        }
        ports = {name: int(address.split(":")[1]) for name, address in addresses.items()}
        [container] = pod.containers
        assert {each["name"]: each["containerPort"] for each in container["ports"]} == ports
        assert {address.split(":")[0] for address in addresses.values()} == {"0.0.0.0"}
        for service in rendered.of("Service"):
            if selects(service["spec"]["selector"], pod.labels):
                assert service["spec"]["clusterIP"] == "None"
                assert {p["name"]: p["port"] for p in service["spec"]["ports"]}.items() <= (
                    ports.items()
                )
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            # With TLS the admin port has it as well, which a kubelet's probe does not know.
            assert container[probe]["grpc"]["port"] == ports.get("probe", ports["admin"])


def test_with_tls_jobs_trust_the_issuer_of_the_services(overlay):
    everything = overlay("all components")
    certificates = everything.of("Certificate")
    names = {name for each in certificates for name in each["spec"]["dnsNames"]}
    secrets = {each["spec"]["secretName"] for each in certificates}

    assert len({str(each["spec"]["issuerRef"]) for each in certificates}) == 1
    assert names >= {each["metadata"]["name"] for each in everything.of("Service")}
    for pod in everything.pods():
        assert pod.volume("tls")["secret"]["secretName"] in secrets
        if pod.owner["kind"] == "CronJob":
            assert pod.volume("tls")["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
            environment = everything.environment(pod.spec["containers"][0])
            assert environment["LOOKALIKE_CLIENT_TLS_CA"] == "/tls/ca.crt"


def test_the_clients_settings_of_jobs_are_ones_that_it_knows(rendered):
    for pod in rendered.jobs():
        for container in pod.containers:
            Settings.read(rendered.environment(container))


def test_a_pod_that_is_not_ready_is_not_restarted_for_that(rendered):
    for pod in rendered.services():
        [container] = pod.containers
        assert container["livenessProbe"]["grpc"]["service"] == LIVE
        assert "service" not in container["readinessProbe"]["grpc"]


def test_a_pod_has_the_time_to_end_in_order(rendered):
    for pod in rendered.services():
        prefix, _ = TIERS[tier_of(pod)]
        settings = settings_of(rendered, pod)
        own = float(settings[f"{prefix}DRAIN_SECONDS"]) + float(settings[f"{prefix}GRACE_SECONDS"])
        assert pod.spec["terminationGracePeriodSeconds"] >= own + END_SECONDS + 5


def test_every_selector_means_the_pods_of_one_workload(rendered):
    pods = list(rendered.services())
    for pod in pods:
        name = pod.owner["metadata"]["name"]
        own = pod.owner["spec"]["selector"]["matchLabels"]
        assert [selects(own, each.labels) for each in pods].count(True) == 1
        for constraint in pod.spec["topologySpreadConstraints"]:
            assert selects(constraint["labelSelector"]["matchLabels"], pod.labels)
            assert constraint["labelSelector"]["matchLabels"] == own
        budget = rendered.named("PodDisruptionBudget", name)
        assert budget["spec"]["selector"]["matchLabels"] == own
        service = rendered.named("Service", pod.owner["spec"].get("serviceName", name))
        assert service["spec"]["selector"] == own


def test_a_second_embedder_gets_no_calls_of_the_first(overlay, production):
    second = overlay("next-model")
    [pod] = second.pods()

    for service in production.of("Service"):
        assert not selects(service["spec"]["selector"], pod.labels)
    names = {(each["kind"], each["metadata"]["name"]) for each in production.resources}
    assert not names & {(each["kind"], each["metadata"]["name"]) for each in second.resources}


def selects(selector, labels):
    return bool(selector) and selector.items() <= labels.items()
