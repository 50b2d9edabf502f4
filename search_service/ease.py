"""Under pressure answers are sought less hard before calls are refused, and say so."""

from dataclasses import replace

from search_service.query import Options

# What callers may ask for below the default: a first step and, half-way to full, a second.
FIRST_RECALL, SECOND_RECALL = 0.95, 0.90


def eased(options: Options, pressure: float, ease_from: float) -> Options:
    """The options at a pressure: the share of the places to wait in that are taken, 0 to 1.

    Above `ease_from` the recall is at most the first, half-way from there to 1 the second. Exact
    and strict calls stay as they are: whoever asks for those would rather be refused.
    """
    if pressure <= ease_from or options.recall == 1.0 or options.strict_recall:
        return options
    most = FIRST_RECALL if pressure <= (1 + ease_from) / 2 else SECOND_RECALL
    return options if options.recall <= most else replace(options, recall=most, eased=True)
