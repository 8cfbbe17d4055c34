"""Against autograd through the formula of the forward pass, in float64."""

import pytest
import torch
from torch import Tensor

from lightning_tune.norm.reference.add import add_norm_backward, gradient_through_rstd, normal_from_output


def normalised(total: Tensor, centred: bool) -> tuple[Tensor, Tensor]:
    value = total - total.mean((-2, -1), keepdim=True) if centred else total
    rstd = (value.square().mean((-2, -1), keepdim=True) + 1e-3).rsqrt()
    return value * rstd, rstd[..., 0, 0]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_gradients(centred: bool, affine: bool) -> None:
    torch.manual_seed(0)
    total, grad_output, grad_sum = (torch.randn(4, 3, 5, dtype=torch.float64) for _ in range(3))
    weight, bias = (torch.randn(3, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    total.requires_grad_()
    normal, rstd = normalised(total, centred)
    output = normal * weight + bias if affine else normal
    wanted = (total, weight, bias) if affine else (total,)
    expected = torch.autograd.grad([output, total], wanted, [grad_output, grad_sum], retain_graph=True)
    given = (weight, bias) if affine else (None, None)
    recovered = normal_from_output(output, rstd, *given)
    torch.testing.assert_close(recovered, normal)
    found = add_norm_backward(grad_output, grad_sum, recovered, rstd, given[0], centred=centred)
    for one, other in zip(found, expected, strict=False):
        torch.testing.assert_close(one, other)
    grad_rstd = torch.randn(4, dtype=torch.float64)
    (through,) = torch.autograd.grad(rstd, total, grad_rstd)
    torch.testing.assert_close(gradient_through_rstd(grad_rstd, rstd, recovered), through)


def test_a_column_without_weight_counts_as_at_the_mean() -> None:
    output, weight = torch.tensor([[3.0, 1.0]]), torch.tensor([2.0, 0.0])
    assert normal_from_output(output, torch.ones(1), weight, torch.ones(2)).tolist() == [[1.0, 0.0]]
