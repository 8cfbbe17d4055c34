"""The command line: `lightning-tune demo`, `list`, `show` and `export`. Reading a sweep never changes it."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import lightning_tune
from lightning_tune.errors import ArgumentError, TuneError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 for what cannot be done, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character shows "?"
    try:
        return _run(words)
    except TuneError as error:
        print(f"lightning-tune: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `lightning-tune show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _run(words: list[str]) -> int:
    if words[:1] == ["demo"]:  # imports Lightning, and has arguments of its own
        from lightning_tune.demo import main as demo

        demo(words[1:])
        return 0
    args = _parser().parse_args(words)
    if args.command is None:
        _parser().print_help()
        return 0
    text: str = args.run(args)
    print(text)
    sys.stdout.flush()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "lightning-tune", description="Hyperparameter sweeps in PyTorch Lightning."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {lightning_tune.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser(
        "demo", help="a real sweep over handwritten digits, under two minutes", add_help=False
    )

    listing = commands.add_parser("list", help="the sweeps in a folder or store")
    listing.add_argument(
        "where", nargs="?", default="sweeps", help=f"{_WHERE}, or a folder of them (%(default)s)"
    )
    listing.set_defaults(run=_list)

    show = commands.add_parser("show", help="one sweep, or one of its trials")
    show.add_argument("where", help=_WHERE)
    show.add_argument(
        "trial", nargs="?", type=int, help="a trial's number: its reports and, if it failed, why"
    )
    show.add_argument("--limit", type=_positive, default=20, help="how many trials to list (%(default)s)")
    show.add_argument("--sweep", metavar="NAME", help=_SWEEP)
    show.set_defaults(run=_show)

    export = commands.add_parser("export", help="a sweep's trials as CSV, JSON or a spreadsheet")
    export.add_argument("where", help=_WHERE)
    export.add_argument("file", type=Path, help="the file to write; its ending says how: .csv, .json, .xlsx")
    export.add_argument("--sweep", metavar="NAME", help=_SWEEP)
    export.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    export.set_defaults(run=_export)
    return parser


_WHERE = "a sweep's folder, its store's file, or a store's URL"
_SWEEP = "which sweep, where a store holds several"


def _list(args: argparse.Namespace) -> str:
    from lightning_tune.inspect.pages import sweeps_page
    from lightning_tune.inspect.reading import read_sweeps

    return sweeps_page(read_sweeps(args.where))


def _show(args: argparse.Namespace) -> str:
    from lightning_tune.inspect.pages import sweep_page, trial_page
    from lightning_tune.inspect.reading import find_sweep

    sweep = find_sweep(args.where, args.sweep)
    if args.trial is None:
        return sweep_page(sweep, args.limit)
    if not 0 <= args.trial < len(sweep.history):
        last = len(sweep.history) - 1
        there = f"its trials are 0 to {last}" if last >= 0 else "it has no trials yet"
        raise ArgumentError(f"sweep {sweep.record.name!r} has no trial {args.trial}: {there}.")
    return trial_page(sweep, args.trial)


def _export(args: argparse.Namespace) -> str:
    from lightning_tune.inspect.reading import find_sweep
    from lightning_tune.inspect.rows import export

    if args.file.exists() and not args.overwrite:
        raise ArgumentError(f"{args.file} is there already: name another file, or add --overwrite.")
    sweep = find_sweep(args.where, args.sweep)
    count = export(sweep.history, args.file, sweep.budget)
    return f"{count} trials written to {args.file}"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number
