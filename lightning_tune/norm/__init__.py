"""Normalisation layers: torch.nn's, by fused kernels on GPUs and CPUs, and right everywhere.

Each layer is a subclass of its namesake in torch.nn, with the same arguments, attributes and state dict, so
that a checkpoint moves both ways; `backend` says who computes it, and `explain` why. Importing this needs
torch alone.
"""

from lightning_tune.norm import functional
from lightning_tune.norm.batch import BatchNorm1d, BatchNorm2d, BatchNorm3d
from lightning_tune.norm.compound import AddLayerNorm, AddRMSNorm, BatchNormAct2d
from lightning_tune.norm.dispatch import Backend, Path, explain
from lightning_tune.norm.functional import textbook_batch_norm
from lightning_tune.norm.ghost import GhostBatchNorm
from lightning_tune.norm.group import GroupNorm
from lightning_tune.norm.instance import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from lightning_tune.norm.layer import LayerNorm
from lightning_tune.norm.replace import replace_norms
from lightning_tune.norm.replacement import Replacement
from lightning_tune.norm.rms import RMSNorm
from lightning_tune.norm.sync import SyncBatchNorm

__all__ = [
    "AddLayerNorm",
    "AddRMSNorm",
    "Backend",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchNormAct2d",
    "GhostBatchNorm",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "Path",
    "RMSNorm",
    "Replacement",
    "SyncBatchNorm",
    "explain",
    "functional",
    "replace_norms",
    "textbook_batch_norm",
]
