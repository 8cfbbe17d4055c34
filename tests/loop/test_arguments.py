from dataclasses import dataclass, field

import pytest

from lightning_tune.errors import UnknownArgumentError
from lightning_tune.loop.arguments import call_with, check_keys, signature_of, split_config


@dataclass
class Encoder:
    width: int = 8
    depth: int = 2


class Base:
    def __init__(self, dropout: float = 0.1):
        self.dropout = dropout


class Child(Base):
    def __init__(self, lr: float, width: int = 4, **kwargs):
        super().__init__(**kwargs)
        self.lr, self.width = lr, width


DEEP, SGD = Encoder(depth=5), {"name": "sgd", "args": {"lr": 1}}


class Nested:
    def __init__(self, encoder: Encoder = DEEP, opt: dict = SGD, x=None):
        self.encoder, self.opt, self.x = encoder, opt, x


@dataclass
class Holder:
    encoder: Encoder = field(default_factory=Encoder)


def test_a_configuration_is_split_by_prefix():
    model, data, trainer = split_config({"lr": 1, "model.w": 2, "data.b": 3, "trainer.c": 4, "enc.d": 5})
    assert (model, data, trainer) == ({"lr": 1, "w": 2, "enc.d": 5}, {"b": 3}, {"c": 4})


def test_unknown_keys_name_what_there_is_and_the_nearest():
    with pytest.raises(
        UnknownArgumentError, match=r"Net takes no argument 'widht'.*`lr`, `width`.*Did you mean 'width'"
    ):
        check_keys(["widht"], ["lr"], _plain, "Net")


def _plain(lr, width=3):
    return lr, width


def test_a_required_argument_that_nothing_gives_is_found_before_training():
    with pytest.raises(UnknownArgumentError, match="needs the argument `lr`, which the space does not give"):
        check_keys(["width"], ["width"], Child, "Child")
    check_keys(["width", "lr"], ["width", "lr"], Child, "Child")


def test_arguments_are_followed_through_kwargs():
    taken, required = signature_of(Child)
    assert set(taken) == {"lr", "width", "dropout"}
    assert required == ["lr"]
    assert signature_of(lambda **kwargs: kwargs)[0] is None


def test_dotted_keys_build_nested_arguments_and_keep_the_rest():
    built = call_with(Nested, {"encoder.width": 32, "opt.args.lr": 7, "x": 1})
    assert built.encoder == Encoder(width=32, depth=5)
    assert built.opt == {"name": "sgd", "args": {"lr": 7}}
    assert built.x == 1
    assert call_with(Nested, {}).opt["args"]["lr"] == 1  # the default itself is untouched


def test_flat_calls_go_straight_through():
    assert call_with(_plain, {"lr": 1}) == (1, 3)
