import numpy as np

from lightning_tune.curves.anchors import ABOVE, BELOW, LEAST_DOUBT, MOST_DOUBT, Anchors, anchors_of

MOVED = np.array([[5.0, -2.0, 0.0], [0.0, 0.0, 0.0]])


def anchors() -> Anchors:
    mixture = np.array([-1.0, 0.5]), np.array([0.2, 1e-9])
    law = np.array([-2.0, 0.0]), np.array([50.0, 0.1])
    return anchors_of(MOVED, mixture, law)


def test_guesses_and_limits_are_those_of_each_curve():
    found = anchors()
    np.testing.assert_array_equal(found.places, [[0.0, -1.0, -2.0], [0.0, 0.5, 0.0]])
    np.testing.assert_array_equal(found.doubts, [[1.0, 0.2, MOST_DOUBT], [1.0, LEAST_DOUBT, 0.1]])
    np.testing.assert_allclose(found.lowest[:, 0], [np.arcsinh(-2.0) - BELOW, -BELOW])
    np.testing.assert_allclose(found.highest[:, 0], [np.arcsinh(5.0) + ABOVE, ABOVE])


def test_parts_lie_around_their_guess_in_units_of_its_doubt():
    said = np.array([[0.5, -0.5, 1.0, 0.0, 2.0, -1.0]] * 2)
    places, logs = anchors().spread(said, np.zeros((2, 6)))
    np.testing.assert_allclose(places[0], [0.5, -0.5, -0.8, -1.0, 0.0, -3.0])
    np.testing.assert_allclose(np.exp(logs[0]), [1.0, 1.0, 0.2, 0.2, 1.0, 1.0])


def test_no_part_lies_beyond_the_limits():
    places, _ = anchors().spread(np.array([[1e3, -1e3, 1e3, -1e3, 1e3, -1e3]] * 2), np.zeros((2, 6)))
    found = anchors()
    assert (places.max(axis=1) == found.highest[:, 0]).all()
    assert (places.min(axis=1) == found.lowest[:, 0]).all()


def test_rows_are_one_a_curve_and_step():
    found = anchors()
    two = Anchors(
        places=np.stack([found.places] * 2, axis=1),
        doubts=np.stack([found.doubts] * 2, axis=1),
        lowest=np.stack([found.lowest] * 2, axis=1),
        highest=np.stack([found.highest] * 2, axis=1),
    )
    rows = two.rows()
    assert rows.places.shape == rows.doubts.shape == (4, 3)
    assert rows.lowest.shape == rows.highest.shape == (4, 1)
    np.testing.assert_array_equal(rows.places[:2], np.stack([found.places[0]] * 2))
