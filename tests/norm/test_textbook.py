import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lightning_tune.errors import ArgumentError
from lightning_tune.norm.textbook import textbook_batch_norm

SHAPES = [(8, 5), (6, 3, 4, 2), (1, 2, 3, 3), (2, 1)]


def parameters(channels: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    """Return gamma, beta, moving mean and moving variance."""
    draws = torch.Generator().manual_seed(seed)
    values = torch.randn(4, channels, generator=draws, dtype=torch.float64)
    return [*values[:3].to(dtype), values[3].square().add(0.1).to(dtype)]


def batch(shape: tuple[int, ...], dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draws, dtype=torch.float64).to(dtype)


def from_the_book(
    X: Tensor,
    gamma: Tensor,
    beta: Tensor,
    moving_mean: Tensor,
    moving_var: Tensor,
    eps: float,
    momentum: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Section 8.5's code in training, for values of a shape that broadcasts."""
    dims = 0 if X.dim() == 2 else (0, 2, 3)
    mean = X.mean(dim=dims, keepdim=True)
    var = ((X - mean) ** 2).mean(dim=dims, keepdim=True)
    Y = gamma * (X - mean) / torch.sqrt(var + eps) + beta
    return Y, momentum * moving_mean + (1 - momentum) * mean, momentum * moving_var + (1 - momentum) * var


def torchs(shape: tuple[int, ...], momentum: float, eps: float, values: list[Tensor]) -> nn.Module:
    """Return torch's layer with the textbook's momentum and values."""
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    layer = kind(shape[1], eps=eps, momentum=1 - momentum).to(values[0].dtype)
    keys = ("weight", "bias", "running_mean", "running_var")
    layer.load_state_dict(dict(zip(keys, values, strict=True)), strict=False)
    return layer


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_training_is_torchs_layer_with_one_less_the_momentum(
    shape: tuple[int, ...], momentum: float, dtype: torch.dtype
) -> None:
    """The moving variance too, once the biased variance is made the unbiased one: times n / (n - 1)."""
    values, X = parameters(shape[1], dtype), batch(shape, dtype)
    layer = torchs(shape, momentum, 1e-3, values)
    expected = layer(X)
    Y, moving_mean, moving_var = textbook_batch_norm(X, *values, eps=1e-3, momentum=momentum)
    torch.testing.assert_close(Y, expected)
    torch.testing.assert_close(moving_mean, layer.running_mean)
    n = X.numel() / shape[1]
    old = momentum * values[3]
    torch.testing.assert_close(old + (moving_var - old) * n / (n - 1), layer.running_var)


@pytest.mark.parametrize("shape", SHAPES)
def test_prediction_is_torchs_layer_in_evaluation(shape: tuple[int, ...]) -> None:
    values, X = parameters(shape[1]), batch(shape)
    layer = torchs(shape, 0.9, 1e-3, values).eval()
    with torch.no_grad():
        Y, moving_mean, moving_var = textbook_batch_norm(X, *values, eps=1e-3, momentum=0.9)
    torch.testing.assert_close(Y, layer(X))
    assert torch.equal(moving_mean, values[2])
    assert torch.equal(moving_var, values[3])


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(1, 5),
    channels=st.integers(1, 5),
    positions=st.one_of(st.just(()), st.tuples(st.integers(1, 4), st.integers(1, 4))),
    momentum=st.floats(0, 1),
    flat=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_it_is_the_books_code(
    samples: int, channels: int, positions: tuple[int, ...], momentum: float, flat: bool, seed: int
) -> None:
    """With values in the book's shape, (1, channels, 1, 1), and as plain (channels,), which come back so."""
    X = batch((samples, channels, *positions), seed=seed)
    broadcast = [value.reshape(1, -1, *(1 for _ in positions)) for value in parameters(channels, seed=seed)]
    given_values = [value.flatten() for value in broadcast] if flat else broadcast
    expected = from_the_book(X, *broadcast, 1e-5, momentum)
    got = textbook_batch_norm(X, *given_values, 1e-5, momentum)
    torch.testing.assert_close(got[0], expected[0])
    for ours, books, came_in in zip(got[1:], expected[1:], given_values[2:], strict=True):
        assert ours.shape == came_in.shape
        torch.testing.assert_close(ours, books.reshape(ours.shape))


@pytest.mark.parametrize("shape", [(5, 3), (3, 2, 2, 2)])
def test_gradients_are_those_of_finite_differences(shape: tuple[int, ...]) -> None:
    gamma, beta, mean, var = parameters(shape[1])
    leaves = [tensor.requires_grad_() for tensor in (batch(shape), gamma, beta)]

    def output(X: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return textbook_batch_norm(X, gamma, beta, mean, var, 1e-5, 0.9)[0]

    assert torch.autograd.gradcheck(output, leaves)
    assert torch.autograd.gradgradcheck(output, leaves)


def test_moving_statistics_are_new_tensors_without_a_gradient() -> None:
    values, X = parameters(3), batch((4, 3)).requires_grad_()
    before = [value.clone() for value in values]
    Y, moving_mean, moving_var = textbook_batch_norm(X, *values, 1e-5, 0.9)
    assert Y.requires_grad
    assert not moving_mean.requires_grad
    assert not moving_var.requires_grad
    for value, old in zip(values, before, strict=True):
        assert torch.equal(value, old)


def test_narrow_types_keep_their_type() -> None:
    values = [value.float() for value in parameters(3)]
    X = batch((50, 3)).bfloat16()
    Y, moving_mean, moving_var = textbook_batch_norm(X, *values, 1e-5, 0.5)
    expected = from_the_book(X.double(), *(value.double() for value in values), 1e-5, 0.5)
    assert (Y.dtype, moving_mean.dtype, moving_var.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    torch.testing.assert_close(Y.double(), expected[0], rtol=2**-8, atol=2**-8)
    torch.testing.assert_close(moving_var.double(), expected[2].flatten(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 2), (4, 3, 0, 2)])
def test_an_empty_batch_moves_nothing(shape: tuple[int, ...]) -> None:
    values = parameters(3)
    Y, moving_mean, moving_var = textbook_batch_norm(torch.empty(shape), *values, 1e-5, 0.9)
    assert Y.shape == shape
    assert torch.equal(moving_mean, values[2])
    assert torch.equal(moving_var, values[3])


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (2, 3, 4, 5, 6)])
@pytest.mark.parametrize("gradients", [True, False])
def test_other_dimensions_are_refused(shape: tuple[int, ...], gradients: bool) -> None:
    with torch.set_grad_enabled(gradients), pytest.raises(ArgumentError, match=r"`X` must have 2 dim.* or 4"):
        textbook_batch_norm(torch.zeros(shape), *parameters(3), 1e-5, 0.9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -1e-5}, "`eps` must be at least 0, got -1e-05"),
        ({"eps": float("nan")}, "`eps` must be at least 0, got nan"),
        ({"momentum": 1.5}, "`momentum`.* must be 0 to 1, got 1.5"),
        ({"momentum": -0.1}, "`momentum`.* must be 0 to 1, got -0.1"),
        ({"gamma": torch.ones(4)}, r"`gamma` must hold one value for each of the 3 .* got \(4,\)"),
        ({"beta": torch.ones(1)}, r"`beta` must hold one value for each of the 3 .* got \(1,\)"),
        ({"moving_mean": torch.ones(2, 3)}, r"`moving_mean` must .* got \(2, 3\)"),
        ({"moving_var": torch.tensor(1.0)}, r"`moving_var` must .* got \(\)"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    names = ("gamma", "beta", "moving_mean", "moving_var")
    arguments = {**dict(zip(names, parameters(3), strict=True)), "eps": 1e-5, "momentum": 0.9, **change}
    with pytest.raises(ArgumentError, match=message):
        textbook_batch_norm(torch.zeros(4, 3), **arguments)
