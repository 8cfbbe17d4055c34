"""The states that decide a run and that Lightning's checkpoint lacks.

These are random generators, metrics and the loops' bookkeeping, all as plain tensors, integers and tuples,
so that the checkpoint loads with `weights_only=True`.
"""

import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torchmetrics import Metric


def global_random_state() -> dict[str, Any]:
    """Return the states of Python's, NumPy's and torch's global generators (CUDA's too, if in use)."""
    numpy: Any = np.random.get_state(legacy=False)
    keys = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    cuda = torch.cuda.is_available()
    return {
        "python": random.getstate(),
        "numpy": (keys, int(numpy["state"]["pos"]), int(numpy["has_gauss"]), float(numpy["gauss"])),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if cuda else [],
    }


def set_global_random_state(state: dict[str, Any]) -> None:
    """Put back what `global_random_state` returned (after a trip through a checkpoint, too)."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([entry.cpu() for entry in state["cuda"]])


def capture(trainer: Any, module: Any) -> dict[str, Any]:
    """Return everything that a resumed fit needs besides Lightning's own checkpoint."""
    if any(getattr(loader, "persistent_workers", False) for _, loader in _loaders(trainer)):
        warnings.warn(
            "a DataLoader has persistent_workers=True: the random states inside its workers are not saved. "
            "If they draw random numbers, a trial that is resumed will see others than one that was never "
            "interrupted.",
            stacklevel=2,
        )
    return {
        "random": global_random_state(),
        "generators": {name: generator.get_state() for name, generator in _generators(trainer, module)},
        "metrics": {name: _metric_state(metric) for name, metric in _metrics(module)},
        "callback_metrics": {
            name: torch.as_tensor(value).detach().clone() for name, value in trainer.callback_metrics.items()
        },
        "reloads": _reloads(trainer),
        "should_stop": bool(trainer.should_stop) and not _may_stop(trainer),
    }


def restore(trainer: Any, module: Any, state: dict[str, Any]) -> None:
    """Put back what `capture` returned, at the first `on_train_epoch_start` of the resumed fit."""
    _set_up_validation(trainer)
    for name, generator in _generators(trainer, module):
        if name in state["generators"]:
            generator.set_state(state["generators"][name].cpu())
    metrics = dict(_metrics(module))
    for name, saved in state["metrics"].items():
        if name in metrics:
            _set_metric_state(metrics[name], saved)
    trainer._logger_connector._callback_metrics.update(state["callback_metrics"])
    train, validation = state["reloads"]
    trainer.fit_loop._last_train_dl_reload_epoch = train
    trainer.fit_loop.epoch_loop.val_loop._last_val_dl_reload_epoch = validation
    set_global_random_state(state["random"])


def _may_stop(trainer: Any) -> bool:
    """Whether a `should_stop` would take effect now.

    One that waits for `min_epochs` has to be carried over.
    """
    return bool(trainer.fit_loop._can_stop_early)


def _reloads(trainer: Any) -> tuple[float, float]:
    return (
        trainer.fit_loop._last_train_dl_reload_epoch,
        trainer.fit_loop.epoch_loop.val_loop._last_val_dl_reload_epoch,
    )


def _set_up_validation(trainer: Any) -> None:
    """Make the validation loaders, as an unbroken run has by now: their generators are put back."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    if loop._combined_loader is None and trainer.enable_validation:
        trainer.validating = True
        loop.setup_data()
        trainer.training = True


def _generators(trainer: Any, module: Any) -> Iterator[tuple[str, torch.Generator]]:
    """Yield the torch generators of loaders, samplers and the module's own attributes, each with a name."""
    seen: set[int] = set()
    for place, loader in _loaders(trainer):
        for part in ("", "sampler", "batch_sampler", "dataset"):
            owner = getattr(loader, part, None) if part else loader
            yield from _fresh(f"{place}.{part}", getattr(owner, "generator", None), seen)
    for path, child in module.named_modules():
        for name, value in vars(child).items():
            yield from _fresh(f"module.{path}.{name}", value, seen)


def _loaders(trainer: Any) -> Iterator[tuple[str, Any]]:
    for name, loop in (("train", trainer.fit_loop), ("validation", trainer.fit_loop.epoch_loop.val_loop)):
        loaders = [] if loop._combined_loader is None else loop._combined_loader.flattened
        for number, loader in enumerate(loaders):
            yield f"{name}.{number}", loader


def _fresh(name: str, value: Any, seen: set[int]) -> Iterator[tuple[str, torch.Generator]]:
    if isinstance(value, torch.Generator) and id(value) not in seen:
        seen.add(id(value))
        yield name, value


def _metrics(module: Any) -> Iterator[tuple[str, Metric]]:
    return ((name, child) for name, child in module.named_modules() if isinstance(child, Metric))


def _metric_state(metric: Metric) -> dict[str, Any]:
    values = {name: getattr(metric, name) for name in metric._defaults}
    copies = {
        name: [item.detach().clone() for item in value] if isinstance(value, list) else value.detach().clone()
        for name, value in values.items()
    }
    return {"states": copies, "updates": metric._update_count}


def _set_metric_state(metric: Metric, saved: dict[str, Any]) -> None:
    for name, value in saved["states"].items():
        on_device = (
            [item.to(metric.device) for item in value] if isinstance(value, list) else value.to(metric.device)
        )
        setattr(metric, name, on_device)
    metric._update_count = saved["updates"]
    metric._computed = None
