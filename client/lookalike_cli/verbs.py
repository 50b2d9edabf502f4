"""The verbs by name. Each is imported when it is called, so that `--help` is there at once."""

# ruff: noqa: ARG002 (click says what its methods are given)

import importlib
from dataclasses import dataclass

import click
from lookalike_client import LookalikeError

OUR_OWN = ("lookalike", "lookalike_cli", "lookalike_client", "lookalike_kit")


@dataclass(frozen=True)
class Verb:
    """module: it holds the click command as `command`. extra: what it needs installed."""

    module: str
    extra: str
    summary: str


VERBS = {
    "data": Verb("lookalike_cli.data", "train", "Count what a catalogue of photos holds."),
    "demo": Verb("lookalike_cli.demo", "demo", "The whole story, from drawing photos to a report."),
    "embed": Verb("lookalike_cli.embed", "cli", "Turn photos into vectors, ready to be indexed."),
    "evaluate": Verb(
        "lookalike_cli.evaluate", "evaluate", "Judge a model: figures, and a page to send around."
    ),
    "explain": Verb(
        "lookalike_cli.explain", "cli", "What became of one request, from the services' logs."
    ),
    "finetune": Verb(
        "embedder_service.training.command", "train", "Teach a model on one's own photos."
    ),
    "index": Verb("lookalike_cli.index", "search", "Build, publish and roll back indexes."),
    "model": Verb("lookalike_cli.model", "openvino,train", "Publish, list and compile models."),
    "search": Verb("lookalike_cli.search", "cli", "Find what looks like a photo or an item."),
    "status": Verb("lookalike_cli.status", "cli", "What every replica serves, on one screen."),
    "up": Verb(
        "lookalike_cli.up", "cli,embedder,search", "Start both services over a store folder."
    ),
}


class Verbs(click.Group):
    """Imports a verb when it is asked for, and says which extra it misses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        try:
            command: click.Command = importlib.import_module(verb.module).command
        except ModuleNotFoundError as error:
            raise _naming_the_extra(cmd_name, error) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name].summary) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LookalikeError as error:
            raise click.ClickException(_said(error)) from error
        except ModuleNotFoundError as error:
            raise _naming_the_extra(str(ctx.invoked_subcommand), error) from error


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lookalike")
def lookalike() -> None:
    """Visually similar images as a service.

    \b
    lookalike demo                     see the whole of it work
    lookalike up build/demo            start both services over what the demo made
    lookalike search photo.jpg         find what looks like a photo
    lookalike status                   see what is served
    lookalike explain REQUEST_ID       see what became of one request

    Every command has --help with examples, and --json for scripts.
    """


def _naming_the_extra(name: str, error: ModuleNotFoundError) -> Exception:
    missing = (error.name or "").partition(".")[0]
    if missing in OUR_OWN or name not in VERBS:
        return error
    extra = VERBS[name].extra
    return click.ClickException(
        f"`lookalike {name}` needs {missing}: pip install '.[{extra}]' in a checkout"
    )


def _said(error: LookalikeError) -> str:
    known = f"{error.reason}: " if error.reason else f"{error.status.name}: "
    return f"{known}{error} (request {error.request_id})"
