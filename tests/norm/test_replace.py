"""`replace_norms`: what stays the same, what becomes new, what is refused and what is left."""

import copy
import gc
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from lightning_tune import norm
from lightning_tune.errors import ArgumentError
from lightning_tune.norm import replace_norms

TORCH = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "GroupNorm", "InstanceNorm1d")
TORCH += ("InstanceNorm2d", "InstanceNorm3d", "LayerNorm", "RMSNorm")


class Net(nn.Module):
    """A network with a norm of each family, one of them at two places."""

    def __init__(self):
        super().__init__()
        self.front = nn.Sequential(nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU())
        self.group = nn.GroupNorm(3, 12)
        self.instance = nn.InstanceNorm2d(12, affine=True)
        self.shared = nn.LayerNorm(12)
        self.back = nn.ModuleDict({"again": self.shared, "rms": nn.RMSNorm(12), "out": nn.Linear(12, 2)})

    def forward(self, images):
        features = self.instance(self.group(self.front(images))).mean((2, 3))
        return self.back["out"](self.back["rms"](self.back["again"](self.shared(features).relu())))


def images(seed=0):
    return torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def step(model, optimizer, batch):
    loss = model(batch).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


# -- the same kind


def test_it_goes_on_training_as_if_nothing_had_happened(net):
    """Parameters, momentum of the optimizer, running statistics: two steps before, three after."""
    twin = copy.deepcopy(net)
    pairs = [(model, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)) for model in (net, twin)]
    for seed in range(2):
        for model, optimizer in pairs:
            step(model, optimizer, images(seed))
    before = dict(net.named_parameters()) | dict(net.named_buffers())
    done = replace_norms(net)
    after = dict(net.named_parameters()) | dict(net.named_buffers())
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    assert list(net.state_dict()) == list(twin.state_dict())
    for seed in range(2, 5):
        losses = [step(model, optimizer, images(seed)) for model, optimizer in pairs]
        assert torch.equal(*losses)
    for ours, theirs in zip(net.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert [swap.names for swap in done.swaps] == [
        ("front.1",),
        ("group",),
        ("instance",),
        ("shared", "back.again"),
        ("back.rms",),
    ]
    assert {swap.parameters for swap in done.swaps} == {"kept"}
    assert done.left == ()
    assert type(net.shared) is norm.LayerNorm
    assert net.shared is net.back["again"]


@pytest.mark.parametrize("name", TORCH)
def test_every_class_of_torch_becomes_ours(name):
    arguments = (3, 12) if name == "GroupNorm" else (12,)
    old = getattr(nn, name)(*arguments)
    shown = repr(old)
    model = nn.Sequential(old).eval()
    replace_norms(model, backend="reference")
    assert type(model[0]) is getattr(norm, name)
    family = nn.modules.batchnorm._BatchNorm if name == "SyncBatchNorm" else getattr(nn, name)
    assert isinstance(model[0], family)
    assert not model[0].training
    assert model[0].backend == "reference"
    assert repr(model[0]) == shown[:-1] + ", backend='reference')"
    twin = getattr(norm, name)(*arguments, backend="reference")
    assert vars(twin).keys() == vars(model[0]).keys()


def test_twice_does_nothing_more(net):
    replace_norms(net)
    assert replace_norms(net).swaps == ()
    assert str(replace_norms(nn.Linear(2, 2))) == "no norm layer to swap"


def test_settings_stay():
    model = nn.Sequential(
        nn.BatchNorm2d(4, eps=1e-3, momentum=None, affine=False),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.LayerNorm([4, 5, 5], bias=False),
        nn.GroupNorm(2, 4, affine=False),
        nn.RMSNorm(5, eps=1e-3),
    )
    twin = copy.deepcopy(model)
    replace_norms(model)
    for seed in range(3):
        x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(model(x), twin(x))
    assert repr(model) == repr(twin)
    x = torch.randn(3, 4, 5, 5)
    assert torch.equal(model.eval()(x), twin.eval()(x))


def test_hooks_stay_and_their_handles_work():
    model = nn.Sequential(nn.LayerNorm(4))
    calls = []
    handles = [
        model[0].register_forward_hook(lambda module, *rest: calls.append(("forward", module))),
        model[0].register_forward_pre_hook(lambda module, *rest: calls.append(("pre", module))),
        model[0].register_full_backward_hook(lambda module, *rest: calls.append(("backward", module))),
        model[0].register_state_dict_post_hook(lambda module, *rest: calls.append(("state", module))),
        model[0].register_load_state_dict_pre_hook(lambda module, *rest: calls.append(("load", module))),
    ]
    replace_norms(model)
    gc.collect()
    model(torch.randn(2, 4, requires_grad=True)).sum().backward()
    model.load_state_dict(model.state_dict())
    assert [name for name, _ in calls] == ["pre", "forward", "backward", "state", "load"]
    assert all(module is model[0] for _, module in calls)
    for handle in handles:
        handle.remove()
    model.load_state_dict(model.state_dict())
    model(torch.randn(2, 4, requires_grad=True)).sum().backward()
    assert len(calls) == 5


def test_parametrizations_stay():
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    model = nn.Sequential(nn.LayerNorm(4), nn.BatchNorm1d(4))
    parametrize.register_parametrization(model[0], "weight", Doubled())
    parametrizations.weight_norm(model[1], dim=None)
    twin, original = copy.deepcopy(model), model[0].parametrizations.weight.original
    replace_norms(model)
    x = torch.randn(3, 4)
    assert torch.equal(model(x), twin(x))
    assert isinstance(model[0], norm.LayerNorm)
    assert isinstance(model[1], norm.BatchNorm1d)
    assert model[0].parametrizations.weight.original is original
    assert torch.equal(copy.deepcopy(model)(x), twin(x))
    parametrize.remove_parametrizations(model[0], "weight")
    assert type(model[0]) is norm.LayerNorm
    assert model[0].weight.tolist() == [2, 2, 2, 2]
    assert torch.equal(model(x), twin(x))


def test_copies_and_pickles(net):
    replace_norms(net)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(twin.shared) is norm.LayerNorm
        assert twin.shared is twin.back["again"]
        assert torch.equal(twin(images()), net(images()))


def test_a_model_that_is_a_norm_itself():
    layer = nn.LayerNorm(4)
    assert replace_norms(layer).swaps[0].names == ("",)
    assert type(layer) is norm.LayerNorm
    with pytest.raises(ArgumentError, match="`model` is itself a norm layer, LayerNorm"):
        replace_norms(layer, to="rms_norm")
    with pytest.raises(ArgumentError, match="itself a norm layer"):
        replace_norms(nn.LayerNorm(4), to="none")


def test_weight_decay_groups_of_others_still_find_them(net):
    replace_norms(net)
    families = (nn.LayerNorm, nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.RMSNorm, nn.InstanceNorm2d)
    assert sum(isinstance(module, families) for module in net.modules()) == 5


# -- another kind


def test_another_kind_is_new_everywhere_and_says_so(net):
    old = {id(parameter) for module in net.modules() if _is_norm(module) for parameter in module.parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a fresh model nothing is lost
        done = replace_norms(net, to="rms_norm")
    assert not old & {id(parameter) for parameter in net.parameters()}
    assert net.shared is net.back["again"]
    assert [(swap.names, swap.before, swap.parameters) for swap in done.swaps] == [
        (("front.1",), "BatchNorm2d", "new"),
        (("group",), "GroupNorm", "new"),
        (("instance",), "InstanceNorm2d", "new"),
        (("shared", "back.again"), "LayerNorm", "new"),
        (("back.rms",), "RMSNorm", "kept"),
    ]
    assert net(images()).shape == (5, 2)


def _is_norm(module):
    return "Norm" in type(module).__name__ and not isinstance(module, nn.RMSNorm)


@pytest.mark.parametrize("to", ["batch_norm", "layer_norm", "rms_norm", "group_norm", "none"])
def test_again_keeps_what_has_been_trained(net, to):
    """A second call, by a callback or in a notebook, must not begin anew."""
    replace_norms(net, to=to)
    parameters = list(net.parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(net, torch.optim.SGD(parameters, 0.1), images())
        assert replace_norms(net, to=to).swaps == ()
    assert all(one is other for one, other in zip(parameters, net.parameters(), strict=True))


def test_what_is_lost_is_warned_of(net):
    step(net, torch.optim.SGD(net.parameters(), 0.1), images())
    net.group.register_forward_hook(lambda *args: None)
    with pytest.warns(UserWarning, match=r"begin anew: front\.1: BatchNorm2d -> .* \(and 3 more\)") as caught:
        done = replace_norms(net, to="layer_norm")
    assert caught[0].filename == __file__
    assert {swap.names[0]: swap.lost for swap in done.swaps} == {
        "front.1": ("trained values", "gradients"),
        "group": ("trained values", "gradients", "hooks"),
        "instance": ("trained values", "gradients"),
        "shared": (),
        "back.rms": ("trained values", "gradients"),
    }


def test_device_dtype_mode_and_frozen_come_from_the_old_one():
    model = nn.Sequential(
        nn.BatchNorm2d(4, dtype=torch.float64),
        nn.BatchNorm2d(4, device="meta").eval(),
        nn.LayerNorm(4, elementwise_affine=False),
        nn.LazyLinear(4),
        nn.Linear(4, 4, dtype=torch.bfloat16),
    )
    model[0].requires_grad_(False)
    replace_norms(model[:2], to="layer_norm")
    first, second = model[0], model[1]
    assert first.weight.dtype == torch.float64
    assert first.training
    assert not any(parameter.requires_grad for parameter in first.parameters())
    assert second.weight.is_meta
    assert not second.training
    assert all(parameter.requires_grad for parameter in second.parameters())
    last = model[2:]
    replace_norms(last, to="batch_norm")  # nothing in the old layer says where its statistics belong
    assert last[0].running_mean.dtype == torch.bfloat16


def test_a_callable_makes_what_it_likes(net):
    seen = []

    def to(old):
        seen.append(old)
        return old if isinstance(old, nn.GroupNorm) else nn.Identity()

    done = replace_norms(net.eval(), to=to)
    assert len(seen) == 5
    assert isinstance(net.shared, nn.Identity)
    assert net.shared is net.back["again"]
    assert not net.shared.training
    assert type(net.group) is nn.GroupNorm
    assert [swap.names[0] for swap in done.swaps] == ["front.1", "instance", "shared", "back.rms"]
    with pytest.raises(ArgumentError, match=r"must return a torch.nn.Module, got int for 'group'"):
        replace_norms(net, to=lambda old: 3)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_a_transformer_without_its_layer_norms_is_not_evaluated_with_them():
    """torch's encoder has a fused path for evaluation that knows layer norms alone."""
    torch.manual_seed(0)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), 2)
    x, mask = torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    for to in ("rms_norm", "batch_norm", "none"):
        model = copy.deepcopy(encoder)
        replace_norms(model, to=to)
        model.eval()
        slow = model(x, src_key_padding_mask=mask)  # with gradients there is no fused path
        with torch.no_grad():
            fused = model(x, src_key_padding_mask=mask)
        torch.testing.assert_close(fused[~mask], slow[~mask])
    replace_norms(encoder)
    with torch.no_grad():
        kept = encoder.eval()(x, src_key_padding_mask=mask)
    torch.testing.assert_close(kept[~mask], encoder(x, src_key_padding_mask=mask)[~mask])


# -- which ones


def test_kinds_and_names(net):
    def swapped(**arguments):
        return [swap.names[0] for swap in replace_norms(copy.deepcopy(net), **arguments).swaps]

    assert swapped(kinds="batch_norm") == ["front.1"]
    assert swapped(kinds=["group_norm", "rms_norm"]) == ["group", "back.rms"]
    assert swapped(include="front.*") == ["front.1"]
    assert swapped(include="back.*") == ["shared", "back.rms"]
    assert swapped(include=["front.*", lambda name: name == "group"]) == ["front.1", "group"]
    assert swapped(exclude="*.rms") == ["front.1", "group", "instance", "shared"]
    assert swapped(exclude="back.again") == ["front.1", "group", "instance", "back.rms"]
    assert swapped(include="*", exclude=["[gis]*", lambda name: "." not in name]) == ["front.1", "back.rms"]
    assert swapped(kinds="group_norm", to="layer_norm") == ["group"]
    assert swapped(to="batch_norm", kinds="batch_norm") == ["front.1"]


def test_what_is_left_is_told():
    class Mine(nn.LayerNorm):
        def forward(self, input):
            return 2 * super().forward(input)

    def make():
        layers = (Mine(4), nn.LayerNorm(4), nn.LazyBatchNorm1d(), nn.RMSNorm(4), nn.LocalResponseNorm(2))
        layers[1].forward = lambda input: 3 * input
        return nn.Sequential(*layers)

    for to in (None, "batch_norm"):
        twin = make()
        done = replace_norms(twin, to=to)
        assert [type(module) for module in twin][:3] == [Mine, nn.LayerNorm, nn.LazyBatchNorm1d]
        assert [(entry.names[0], entry.layer) for entry in done.left] == [
            ("0", "Mine"),
            ("1", "LayerNorm"),
            ("2", "LazyBatchNorm1d"),
        ]
        for entry, words in zip(
            done.left, ["class of its own", "replaced", "no parameters yet"], strict=True
        ):
            assert words in entry.reason
        assert [swap.names for swap in done.swaps] == [("3",)]
    model = make()
    model[:4](torch.randn(3, 4))
    assert [entry.names[0] for entry in replace_norms(model).left] == ["0", "1"]


def test_our_own_further_layers_are_settled_until_another_kind_is_wanted():
    model = nn.Sequential(norm.GhostBatchNorm(4, ghost_batch_size=2), norm.BatchNormAct2d(4))
    assert replace_norms(model).left == ()
    assert replace_norms(model, to="batch_norm").left == ()
    assert [entry.layer for entry in replace_norms(model, to="layer_norm").left] == [
        "GhostBatchNorm",
        "BatchNormAct2d",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"to": "layernorm"},
            r'`to` must be one of "batch_norm", .*, "none", a callable or None, got \'layern',
        ),
        ({"to": 3}, "got 3"),
        ({"kinds": "none"}, r"`kinds` takes .* got 'none'"),
        ({"kinds": []}, r"`kinds` takes .* got \[\]"),
        ({"kinds": ["layer_norm", "norm"]}, r"`kinds` takes"),
        (
            {"backend": "fast"},
            r'`backend` must be one of "auto", "triton", "cpp", "aten", "reference", got \'fast\'',
        ),
        (
            {"include": "encoder.*"},
            r"leave none of the model's norm layers: front\.1, group, instance, shared",
        ),
        ({"exclude": "*"}, "leave none"),
    ],
)
def test_what_is_refused(net, arguments, sentence):
    shown = repr(net)
    with pytest.raises(ArgumentError, match=sentence):
        replace_norms(net, **arguments)
    assert repr(net) == shown


def test_a_refusal_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.LayerNorm([4, 4]))
    with pytest.raises(ArgumentError, match=r"either dimension may be the channels: leave '1' out"):
        replace_norms(model, to="batch_norm")
    assert [type(module) for module in model] == [nn.BatchNorm1d, nn.LayerNorm]
    with pytest.raises(ArgumentError, match="must be a torch.nn.Module, got list"):
        replace_norms([nn.LayerNorm(4)])


def test_a_wrapped_model_is_refused_another_kind(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)))
        with pytest.raises(ArgumentError, match="wrapped in DistributedDataParallel"):
            replace_norms(model, to="rms_norm")
        replace_norms(model)
        model(torch.randn(2, 4)).sum().backward()
        assert type(model.module[1]) is norm.LayerNorm
    finally:
        torch.distributed.destroy_process_group()


def test_a_second_call_may_name_another_backend():
    net = nn.Sequential(nn.LayerNorm(8), nn.BatchNorm1d(8), norm.AddLayerNorm(8))
    replace_norms(net)
    weight = net[0].weight
    done = replace_norms(net, backend="reference", kinds=["layer_norm", "batch_norm"], exclude="2")
    assert [swap.parameters for swap in done.swaps] == ["kept", "kept"]
    assert net[0].backend == net[1].backend == "reference"
    assert net[0].weight is weight
    assert replace_norms(net).swaps == ()  # "auto" asks for nothing
    assert net[0].backend == "reference"


def test_batch_norm_with_an_activation_is_left_and_reported():
    net = nn.Sequential(norm.BatchNormAct2d(4), nn.BatchNorm2d(4))
    assert replace_norms(net).left == ()
    done = replace_norms(net, to="group_norm")
    assert [(entry.names, entry.layer) for entry in done.left] == [(("0",), "BatchNormAct2d")]
    assert len(done.swaps) == 1
