"""Interleaved measurements of several steps: seconds of CPU on one thread, or a GPU's own events.

Every round runs each contender once, in an order that turns from round to round, so that whatever else slows
the machine slows all of them. A ratio is the median over the rounds, with a bootstrap interval.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from recording import median_with_interval

Step = Callable[[], Any]
Seconds = Callable[[Step, int], float]


def cpu_seconds(step: Step, times: int) -> float:
    """Return this process's seconds of CPU for some repetitions."""
    began = time.process_time()
    for _ in range(times):
        step()
    return time.process_time() - began


def cuda_seconds(step: Step, times: int) -> float:
    """Return the seconds between two events of the GPU around some repetitions."""
    event: Any = torch.cuda.Event
    start, end = event(enable_timing=True), event(enable_timing=True)
    start.record()
    for _ in range(times):
        step()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1e3


def rounds_of(
    contenders: Mapping[str, Step],
    seconds: Seconds,
    *,
    rounds: int,
    shortest_s: float = 5e-3,
    warm_ups: int = 2,
) -> dict[str, list[float]]:
    """Return each contender's seconds a step, round by round.

    Short steps are repeated within a round. If all are, there are five times as many rounds: it costs little,
    and what else the machine does shows more in them.
    """
    times: dict[str, int] = {}
    for name, step in contenders.items():
        seconds(step, warm_ups)
        times[name] = max(1, round(shortest_s / max(seconds(step, warm_ups) / warm_ups, 1e-9)))
    rounds *= 5 if min(times.values()) >= 5 else 1
    found: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found[name].append(seconds(contenders[name], times[name]) / times[name])
    return found


def ratio(own: list[float], other: list[float]) -> tuple[float, float, float]:
    """Return the median of own over other, pair by pair, and its 95% interval."""
    return median_with_interval([mine / theirs for mine, theirs in zip(own, other, strict=True)])


def milliseconds(values: list[float]) -> str:
    """Return the median, to four digits."""
    return f"{1e3 * statistics.median(values):.4g}"


def copy_bandwidth(device: str, seconds: Seconds, bytes_: int = 1 << 30) -> float:
    """Return the bytes a second that copying a large tensor reads and writes."""
    source = torch.empty(bytes_, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    took = rounds_of({"copy": lambda: target.copy_(source)}, seconds, rounds=11)["copy"]
    return 2 * bytes_ / statistics.median(took)
