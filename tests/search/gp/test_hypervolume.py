import math

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from lightning_tune.core.encode import Encoding
from lightning_tune.core.pareto import hypervolume
from lightning_tune.core.space import Choice, Float, Space
from lightning_tune.search.gp.belief import believe
from lightning_tune.search.gp.hypervolume import HypervolumeImprovement, Sides
from lightning_tune.search.gp.layout import Layout
from lightning_tune.search.gp.surrogate import Hyper, Surrogate

LAYOUT = Layout(Encoding(Space({"a": Float(0, 1), "c": Choice({"x": {"b": Float(0, 1)}, "y": {}})})))


def improvement(
    objectives: int, versions: int = 1, belief: bool = False, context: int = 0, shift: float = 0.0
) -> tuple[HypervolumeImprovement, list[np.ndarray], np.ndarray]:
    """Return the acquisition of a few random models, the front of each version, and the reference."""
    rng = np.random.default_rng(objectives)
    rows = LAYOUT.features(LAYOUT.settle(rng.random((12, 3))))
    rows = np.concatenate([rows, np.ones((12, context))], axis=1)
    owner = np.concatenate([LAYOUT.owner, np.full(context, 3)])
    hyper = Hyper(lengths=np.array([0.4, 0.8, 0.6, 1.0])[: owner.max() + 1], signal=1.0, noise=1e-3)
    surrogates = [
        Surrogate.fit(rows, owner, rng.standard_normal((12, versions)), hyper) for _ in range(objectives)
    ]
    means = np.stack([surrogate.mean(rows) for surrogate in surrogates], axis=2) - shift
    fronts = [means[:, version] for version in range(versions)]
    reference = np.full(objectives, 0.8 - shift)
    acquisition = HypervolumeImprovement.over(
        fronts,
        reference,
        layout=LAYOUT,
        surrogates=surrogates,
        context=np.ones(context),
        belief=believe(LAYOUT, {"a": (0.7, 0.2), "b": 0.1, "c": "y"}) if belief else None,
    )
    return acquisition, fronts, reference


def posterior(acquisition: HypervolumeImprovement, points) -> list[tuple[np.ndarray, np.ndarray]]:
    found = [surrogate.posterior(LAYOUT.features(points)) for surrogate in acquisition.surrogates]
    return [(mean, np.sqrt(variance)) for mean, variance in found]


@pytest.mark.parametrize(("objectives", "versions"), [(2, 1), (2, 3), (3, 1), (3, 2)])
def test_it_equals_monte_carlo_over_the_hypervolume_itself(objectives: int, versions: int):
    acquisition, fronts, reference = improvement(objectives, versions)
    points = LAYOUT.settle(np.random.default_rng(5).random((3, 3)))
    values = np.exp(acquisition(points))
    normal = np.random.default_rng(6).standard_normal((400, objectives))
    for index, value in enumerate(values):
        gains = []
        for version, front in enumerate(fronts):
            before = hypervolume(front, reference)
            moments = [(mean[index, version], sd[index]) for mean, sd in posterior(acquisition, points)]
            centre, spread = np.array(moments).T
            drawn = centre + spread * np.concatenate([normal, -normal])
            gains += [hypervolume(np.vstack([front, place]), reference) - before for place in drawn]
        error = np.std(gains) / math.sqrt(len(gains))
        assert value == pytest.approx(np.mean(gains), abs=4.0 * error + 1e-9)


def test_with_an_empty_front_it_is_a_product_of_expected_improvements():
    acquisition, _, _ = improvement(2)
    sides = [Sides.of(np.array([-np.inf]), np.array([0.7]), np.array([0])) for _ in range(2)]
    mean, sd = np.array([[0.2], [1.5]]), np.array([0.3, 0.4])
    z = (0.7 - mean[:, 0]) / sd
    expected = np.log(sd * (norm.pdf(z) + z * norm.cdf(z)))
    for side in sides:
        np.testing.assert_allclose(side.log_gaps(mean, sd)[0][:, 0], expected, rtol=1e-12)
    empty = HypervolumeImprovement.over(
        [np.full((1, 2), 9.0)],
        np.array([0.7, 0.7]),
        layout=LAYOUT,
        surrogates=acquisition.surrogates,
        context=np.zeros(0),
    )
    points = LAYOUT.settle(np.random.default_rng(2).random((4, 3)))
    product = 1.0
    for means, sds in posterior(acquisition, points):
        z = (0.7 - means[:, 0]) / sds
        product = product * sds * (norm.pdf(z) + z * norm.cdf(z))
    np.testing.assert_allclose(empty(points), np.log(product), rtol=1e-9)


def test_two_objectives_equal_the_integral_of_the_probability_to_dominate():
    """EHVI is the integral, over what is undominated, of P(y_1 <= t_1) P(y_2 <= t_2)."""
    acquisition, (front,), reference = improvement(2)
    point = LAYOUT.settle(np.array([[0.3, 0.2, 0.6]]))
    (mean_1, sd_1), (mean_2, sd_2) = [(mean[0, 0], sd[0]) for mean, sd in posterior(acquisition, point)]

    def below(place: float, mean: float, sd: float) -> float:
        """The integral of the distribution function up to a place."""
        return quad(lambda t: norm.cdf((t - mean) / sd), mean - 12 * sd, place, epsabs=1e-13)[0]

    def roof(place: float) -> float:
        """How far up the second objective is undominated at a place of the first."""
        return min([b for a, b in front if a <= place] + [reference[1]])

    ends = [mean_1 - 12 * sd_1, *sorted(a for a in front[:, 0] if a < reference[0]), reference[0]]
    whole = sum(
        quad(lambda t: norm.cdf((t - mean_1) / sd_1), low, high, epsabs=1e-13)[0]
        * below(roof(low), mean_2, sd_2)
        for low, high in zip(ends, ends[1:], strict=False)
    )
    assert acquisition(point)[0] == pytest.approx(math.log(whole), rel=1e-7)


def exact_log_gap(mean, sd, low: float):
    """Return log(EI(1) - EI(low)) in the precision that mpmath works in."""

    def expected(end):
        z = (end - mean) / sd
        return sd * (mpmath.npdf(z) + z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2)

    lower = 0 if math.isinf(low) else expected(mpmath.mpf(low))
    return mpmath.log(expected(mpmath.mpf(1)) - lower)


@pytest.mark.parametrize("mean", [-50.0, -3.0, 0.0, 0.9, 4.0, 60.0, 1e4])
@pytest.mark.parametrize("low", [-math.inf, 0.0, 0.5, 1.0 - 1e-3, 1.0 - 1e-5, 1.0 - 1e-9])
def test_gaps_and_their_slopes_equal_high_precision(mean: float, low: float):
    sides = Sides.of(np.array([low]), np.array([1.0]), np.array([0]))
    value, by_mean, by_sd = (part[0, 0] for part in sides.log_gaps(np.array([[mean]]), np.array([0.7])))
    with mpmath.workdps(200):
        at, sd, step = mpmath.mpf(mean), mpmath.mpf(0.7), mpmath.mpf("1e-30")
        assert value == pytest.approx(float(exact_log_gap(at, sd, low)), rel=1e-9, abs=1e-7)
        slope = exact_log_gap(at + step, sd, low) - exact_log_gap(at - step, sd, low)
        assert by_mean == pytest.approx(float(slope / (2 * step)), rel=1e-5, abs=1e-7)
        slope = exact_log_gap(at, sd + step, low) - exact_log_gap(at, sd - step, low)
        assert by_sd == pytest.approx(float(slope / (2 * step)), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("versions", [1, 4])
@pytest.mark.parametrize(("belief", "context"), [(False, 0), (True, 1)])
def test_its_slopes_equal_finite_differences(objectives: int, versions: int, belief: bool, context: int):
    acquisition, _, _ = improvement(objectives, versions, belief, context)
    for point in (np.array([0.31, 0.25, 0.62]), np.array([0.87, 0.75, np.nan])):
        value, slope = acquisition.with_slope(point)
        assert value == pytest.approx(acquisition(point[None, :])[0], rel=1e-9)
        for axis in (0, 2):
            if math.isnan(point[axis]):
                assert slope[axis] == 0.0
                continue
            step = np.zeros(3)
            step[axis] = 1e-6
            above, below = acquisition((point + step)[None, :])[0], acquisition((point - step)[None, :])[0]
            assert slope[axis] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-5)


def test_it_is_finite_and_has_a_slope_where_nothing_can_be_improved():
    """A front that is out of reach by hundreds of standard deviations."""
    acquisition, _, _ = improvement(2, shift=300.0)
    points = LAYOUT.settle(np.random.default_rng(3).random((5, 3)))
    values = acquisition(points)
    assert np.isfinite(values).all()
    assert (values < -1e4).all()
    assert np.abs(acquisition.with_slope(points[0])[1]).max() > 1.0
