"""The acts in their order, and what each hands to the next."""

import os
from contextlib import ExitStack
from pathlib import Path

from embedder_service.training.sample import SampleSettings
from embedder_service.training.settings import FinetuneSettings
from lookalike_cli.demo import damage, learn, scale, serve
from lookalike_cli.demo.calls import CountingClient, Tally
from lookalike_cli.demo.ending import Ending, facts, say_what_is_next
from lookalike_cli.demo.report import write_report
from lookalike_cli.demo.story import Story


def play(
    story: Story,
    images: Path | None,
    sample: SampleSettings,
    settings: FinetuneSettings,
    rows: int,
) -> None:
    """All acts, one after the other; the story has the figures."""
    story.console.print(f"[bold]Lookalike[/bold], end to end, on {os.cpu_count()} cores")
    catalogue = learn.gather(story, images, sample)
    learned = learn.learn(story, catalogue, settings)
    tally = Tally()
    with ExitStack() as stack:
        embedder, search = serve.start(story, learned.model, stack)
        client = CountingClient(tally, embedder=embedder.address, search=search.address)
        stack.enter_context(client)
        serve.index(story, client, catalogue)
        found = serve.search_held_out(story, client, catalogue)
        measured = scale.go_to_scale(story, learned.space_id, tally, catalogue, rows)
        mishaps, recovery_seconds = damage.break_things(
            story, client, found, learned.foreign, search, stack
        )
    ending = Ending(
        catalogue=catalogue,
        learned=learned,
        found=found,
        scale=measured,
        mishaps=tuple(mishaps),
        recovery_seconds=recovery_seconds,
        tally=tally,
    )
    with story.act("writes the report") as act:
        story.facts.update(facts(story, ending))
        report = write_report(story, ending)
        act.result = str(report)
    say_what_is_next(story, ending)
