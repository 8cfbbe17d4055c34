"""Weights & Biases: one run a trial, grouped by sweep, closed before the next trial opens its own.

A trial keeps its run: the run's id lies in the trial's folder (`wandb-run-id`), and a leg in a later process
opens the same id with `resume="allow"`. W&B ignores resuming while offline: each leg is then a folder of its
own, `<trial folder>/wandb/offline-run-<time>-<id>`, all under the one id. Upload them with

    wandb sync <sweep folder>/trials/*/wandb/offline-run-*

which sends the folders of one id in the order of their start, so that they merge into one run.
"""

import importlib
import inspect
import os
import secrets
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from lightning_tune._imports import require
from lightning_tune.core.events import JSON
from lightning_tune.core.outcome import Outcome, TrialInfo
from lightning_tune.errors import ArgumentError
from lightning_tune.track.private import private_folder, write_private

_LONGEST = 128
"""W&B refuses longer names of groups and runs."""


@dataclass(frozen=True, kw_only=True)
class WandbTemplate:
    """What every trial's WandbLogger has in common.

    Attributes:
        settings: arguments of `wandb.init`, without those that differ between trials.
        logger: arguments of WandbLogger that `wandb.init` does not take.
        quiet: whether W&B prints nothing (where the user brought no `settings=` of their own).
    """

    settings: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    quiet: bool = True

    @classmethod
    def of(cls, logger: Any, *, quiet: bool) -> "WandbTemplate":
        """Read the arguments of a user's WandbLogger, which is not opened.

        Raises:
            ArgumentError: it has a run already.
        """
        if logger._experiment is not None:
            raise ArgumentError(
                "`logger` is a WandbLogger whose run is open already, and each trial gets a run of its own: "
                "pass a WandbLogger that was given no `experiment=` and has logged nothing, or "
                "logger='wandb'."
            )
        settings = {name: value for name, value in logger._wandb_init.items() if value is not None}
        if logger._offline:
            settings["mode"] = "offline"  # `offline=True` would leave WANDB_MODE changed in this process
        if settings.get("dir") in (".", "./"):
            del settings["dir"]  # WandbLogger's default: the trial's folder instead
        names = ("log_model", "prefix", "checkpoint_name")
        rest = {name: getattr(logger, f"_{name}") for name in names}
        return cls(settings=settings, logger={**rest, "add_file_policy": logger.add_file_policy}, quiet=quiet)

    def make(self, package: ModuleType, info: TrialInfo) -> Any:
        """Return the trial's WandbLogger with its run open.

        Raises:
            RuntimeError: another run is open in this process, which W&B would have the trial join.
        """
        wandb = importlib.import_module("wandb")
        if wandb.run is not None:
            raise RuntimeError(
                f"the W&B run {wandb.run.id} is open in this process; call `wandb.finish()` first"
            )
        folder = private_folder(info.folder)
        arguments: dict[str, Any] = {"dir": os.fspath(folder), **self.settings}
        arguments["save_dir"] = arguments.pop("dir")
        if self.quiet:
            arguments.setdefault("settings", wandb.Settings(console="off", silent=True))
        arguments |= {
            "id": run_id(info),
            "name": f"{info.sweep[: _LONGEST - 10]}-{info.number}",
            "group": info.sweep[:_LONGEST],
            "job_type": "trial",
            "resume": "allow",
        }
        private_folder(folder / "wandb")
        logger = importlib.import_module(f"{package.__name__}.loggers").WandbLogger(
            **self.logger, **arguments
        )
        if logger._wandb_init.get("anonymous") is None:
            logger._wandb_init.pop("anonymous", None)  # WandbLogger passes None, of which W&B warns each time
        _ = logger.experiment
        return logger


def check_available(template: WandbTemplate) -> None:
    """Refuse W&B where it cannot work, before anything trains.

    Raises:
        MissingDependencyError: it is not installed.
        ArgumentError: a run is open in this process, which every trial would join; or W&B is to be online and
            has no credentials, so that it would ask for them (or fail) in the middle of the sweep.
    """
    wandb = require("wandb", "", "logger='wandb'")
    if getattr(wandb, "run", None) is not None:
        raise ArgumentError(
            f"`logger` asks for a W&B run a trial, but the run {wandb.run.id} is open in this process and "
            "trials would join it: call `wandb.finish()` before the sweep."
        )
    if _mode(wandb, template) in ("online", "shared") and not _has_credentials(wandb):
        raise ArgumentError(
            "`logger` asks for W&B, which finds no API key here. Run `wandb login` once, or stay offline: "
            "set WANDB_MODE=offline in the environment, or pass logger=WandbLogger(offline=True)."
        )


def _mode(wandb: ModuleType, template: WandbTemplate) -> str:
    """Return how W&B will run: as the template says, or else the environment, or else W&B's own settings."""
    brought = template.settings.get("settings")
    named = brought.get("mode") if isinstance(brought, dict) else getattr(brought, "mode", None)
    given = template.settings.get("mode") or named or os.environ.get("WANDB_MODE")
    return str(given or wandb.setup().settings.mode)


def _has_credentials(wandb: ModuleType) -> bool:
    """Ask W&B whether it has credentials, without letting it ask the user."""
    if "prompt" in inspect.signature(wandb.login).parameters:
        return bool(wandb.login(prompt=False, verify=False))
    return wandb.api.api_key is not None  # older versions


def run_id(info: TrialInfo) -> str:
    """Return the id of the trial's run: made when the trial first opens it, then read from its folder."""
    path = private_folder(info.folder) / "wandb-run-id"
    found = path.read_text(encoding="ascii", errors="replace").strip() if path.is_file() else ""
    if found.isascii() and found.isalnum():
        return found
    made = secrets.token_hex(6)
    write_private(path, made)
    return made


def settle(logger: Any, facts: dict[str, JSON]) -> None:
    """Write the outcome into the run's summary."""
    logger.experiment.summary.update(facts)


def finish(logger: Any, outcome: Outcome) -> None:
    """Close the run (a failed trial's with exit code 1), so that the next logger opens one of its own."""
    if logger._experiment is not None:
        logger._experiment.finish(exit_code=1 if outcome.state == "failed" else 0)
