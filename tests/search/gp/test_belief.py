import numpy as np
import pytest
from scipy.stats import norm

from lightning_tune.core.encode import Encoding
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.errors import ArgumentError
from lightning_tune.search.gp.belief import believe, check_prior
from lightning_tune.search.gp.layout import Layout

LAYOUT = Layout(
    Encoding(
        Space(
            {
                "lr": Float(1e-4, 1.0, log=True),
                "opt": Choice({"sgd": {"m": Float(0, 1)}, "adam": {"m": Float(0, 10)}, "x": {}}),
            }
        )
    )
)


def test_its_logarithm_is_that_of_a_normal_density():
    belief = believe(LAYOUT, {"lr": (1e-2, 0.1)})
    places = np.linspace(0, 1, 9)
    points = np.stack([places, np.full(9, 5 / 6), np.full(9, np.nan), np.full(9, np.nan)], axis=1)
    value, slope = belief(points)
    expected = norm.logpdf(places, 0.5, 0.1) - norm.logpdf(0.5, 0.5, 0.1)
    np.testing.assert_allclose(value, expected, atol=1e-9)
    np.testing.assert_allclose(slope[:, 0], -(places - 0.5) / 0.01, atol=1e-9)


def test_options_and_every_branch_that_has_the_value():
    belief = believe(LAYOUT, {"opt": ("adam", 0.5), "m": 5.0})
    sgd, adam, other = np.array([0.5, 1 / 6, 0.3, np.nan]), np.array([0.5, 0.5, np.nan, 0.5]), [0.5, 5 / 6]
    value, _ = belief(np.array([sgd, adam, [*other, np.nan, np.nan]]))
    assert value[1] == 0.0
    assert value[0] == pytest.approx(-2.0)
    assert value[2] == pytest.approx(-2.0)


def test_draws_follow_it_and_stay_inside():
    belief = believe(LAYOUT, {"lr": (1.0, 0.2), "opt": "x"})
    drawn = belief.draw(np.full((500, 4), 0.1), np.random.default_rng(0))
    assert drawn.min() >= 0.0
    assert drawn.max() <= 1.0
    assert np.median(drawn[:, 0]) > 0.8
    assert (np.abs(drawn[:, 1] - 5 / 6) < 1e-9).mean() > 0.9
    assert (drawn[:, 2:] == 0.1).all()


@pytest.mark.parametrize(
    ("prior", "sentence"),
    [
        ({"lrr": 0.1}, "names 'lrr', which the space lacks. Did you mean `lr`"),
        ({"lr": 7.0}, r"`prior\['lr'\]` must be a value of Float"),
        ({"opt": "sdg"}, r"`prior\['opt'\]` must be a value of Choice"),
    ],
)
def test_a_belief_that_does_not_fit_says_so(prior, sentence: str):
    with pytest.raises(ArgumentError, match=sentence):
        believe(LAYOUT, prior)


@pytest.mark.parametrize(
    "prior", [[("lr", 1)], {"lr": (0.1, 0.0)}, {"lr": (0.1, "wide")}, {"lr": (0.1, True)}]
)
def test_a_malformed_belief_is_refused(prior):
    with pytest.raises(ArgumentError, match="`prior"):
        check_prior(prior)
