"""Every command line in the manifests, as the command `lookalike` reads it."""

import re
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from lookalike_cli.verbs import lookalike

MOUNTED = re.compile(r"(?<![\w/])/(store|work|photos)\b")


def expanded(arguments, environment):
    """$(NAME), as Kubernetes has it."""
    return [re.sub(r"\$\((\w+)\)", lambda name: environment[name[1]], each) for each in arguments]


def parse(command: click.Command, arguments: list[str], parent: click.Context | None = None):
    """The innermost command's context; click's own error for a line that it would refuse."""
    context = command.make_context(command.name, list(arguments), parent=parent)
    if not isinstance(command, click.Group):
        return context
    rest = [*context._protected_args, *context.args]
    _, inner, rest = command.resolve_command(context, rest)
    return parse(inner, rest, context)


@pytest.fixture
def mounted(tmp_path: Path):
    """Paths of a container, put where this test may make them."""
    (tmp_path / "work" / "vectors").mkdir(parents=True)
    (tmp_path / "work" / "built").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "catalogue.csv").write_text("photo_id\n")
    return lambda text: MOUNTED.sub(lambda path: f"{tmp_path}/{path[1]}", text)


def test_the_command_understands_every_line(rendered, mounted):
    for pod in rendered.jobs():
        for container in pod.containers:
            assert container["command"] == ["lookalike"]
            arguments = expanded(container["args"], rendered.environment(container))
            parse(lookalike, [mounted(each) for each in arguments])


def test_a_line_that_is_mistyped_is_found(mounted):
    with pytest.raises(click.NoSuchOption):
        parse(lookalike, ["index", "prune", mounted("--store=/store"), "--keeep=3"])


def test_a_command_names_only_paths_that_are_mounted(rendered):
    for pod in rendered.jobs():
        for container in pod.containers:
            mounts = {each["mountPath"] for each in container["volumeMounts"]}
            named = {f"/{name}" for each in container["args"] for name in MOUNTED.findall(each)}
            assert named <= mounts


def test_the_nightly_steps_come_in_order(production):
    nightly = production.named("CronJob", "index-nightly")["spec"]
    pod = nightly["jobTemplate"]["spec"]["template"]["spec"]
    first, second = pod["initContainers"]
    [last] = pod["containers"]

    assert [each["args"][:2] for each in (first, second, last)] == [
        ["embed", "/photos"],
        ["index", "build"],
        ["index", "publish"],
    ]
    assert nightly["concurrencyPolicy"] == "Forbid"
    assert pod["restartPolicy"] == "Never"


def test_a_night_ends_before_its_blobs_may_be_pruned(production):
    nightly = production.named("CronJob", "index-nightly")["spec"]["jobTemplate"]["spec"]
    prune = production.named("CronJob", "index-prune")["spec"]["jobTemplate"]["spec"]
    [container] = prune["template"]["spec"]["containers"]
    [grace] = [each for each in container["args"] if each.startswith("--grace-hours=")]

    assert nightly["activeDeadlineSeconds"] < float(grace.removeprefix("--grace-hours=")) * 3600


def test_what_is_done_by_hand_never_starts_by_itself(production):
    by_hand = {"fleet-status", "index-hold", "index-release", "index-rollback", "index-status"}

    for name in by_hand:
        spec = production.named("CronJob", name)["spec"]
        assert spec["suspend"] is True
        assert spec["schedule"] == "0 0 31 2 *"  # no February has it


def test_another_reason_is_given_as_the_page_says(production, kubectl):
    """docs/deploying.md: create job --dry-run | set env --local."""
    job = set_env(kubectl, production.named("CronJob", "index-hold"), "REASON=lost the shoes")

    [container] = job["spec"]["template"]["spec"]["containers"]
    assert {"name": "REASON", "value": "lost the shoes"} in container["env"]
    assert container["args"] == [
        "index",
        "hold",
        "$(INDEX)",
        "--store=/store",
        "--reason=$(REASON)",
    ]


def test_a_night_with_the_next_model_is_had_as_the_page_says(overlay, production, kubectl):
    """docs/upgrading.md."""
    [service] = overlay("next-model").of("Service")
    address = f"dns:///{service['metadata']['name']}:50051"
    setting = f"LOOKALIKE_CLIENT_EMBEDDER={address}"
    job = set_env(kubectl, production.named("CronJob", "index-nightly"), "-c", "embed", setting)

    [embed, _] = job["spec"]["template"]["spec"]["initContainers"]
    assert embed["env"] == [{"name": "LOOKALIKE_CLIENT_EMBEDDER", "value": address}]


def set_env(kubectl, cron_job, *words):
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "by-hand"},
        "spec": cron_job["spec"]["jobTemplate"]["spec"],
    }
    done = subprocess.run(
        [kubectl, "set", "env", "--local", "-f", "-", *words, "-o", "yaml"],
        input=yaml.safe_dump(job),
        capture_output=True,
        text=True,
        check=True,
    )
    return yaml.safe_load(done.stdout)
