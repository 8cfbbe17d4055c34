import numpy as np

from lightning_tune.core.encode import Encoding
from lightning_tune.core.space import Choice, Float, Int, Space
from lightning_tune.search.axes import axes_of
from lightning_tune.testing.searcher_contract import MIXED

INNER = Choice({"p": {"u": Float(0, 1)}, "q": {"v": Int(1, 3), "w": Float(0, 1)}})
NESTED = Space({"top": Choice({"a": {"inner": INNER}, "b": {}, "c": {"w": Float(0, 1)}}), "x": Float(0, 1)})


def test_active_axes_are_those_of_the_encoding():
    rng = np.random.default_rng(0)
    for space in (MIXED, NESTED):
        encoding, axes = Encoding(space), axes_of(space)
        points = rng.random((200, axes.size))
        expected = np.array([encoding.active(point) for point in points])
        np.testing.assert_array_equal(axes.active(points), expected)
        np.testing.assert_array_equal(np.isnan(axes.masked(points)), ~expected)


def test_points_have_one_structure_if_they_have_the_same_options():
    axes = axes_of(NESTED)
    points = axes.masked(np.random.default_rng(1).random((100, axes.size)))
    for point, structure in zip(points, axes.structure(points), strict=True):
        config = axes.encoding.decode(point)
        options = [list("abc").index(config["top"])]
        options.append(list("pq").index(config["inner"]) if "inner" in config else -1)
        assert structure.tolist() == options


def test_an_axis_is_a_table_where_it_is_categorical_or_has_few_values():
    space = Space(
        {
            "f": Float(0, 1),
            "few": Int(1, 5),
            "many": Int(1, 500),
            "log": Int(1, 8, log=True),
            "step": Float(0, 1, step=0.25),
            "cat": Choice([str(number) for number in range(40)]),
        }
    )
    axes = axes_of(space)
    assert axes.smooth.tolist() == [0, 2]
    assert axes.least.tolist() == [0.0, 0.5 / 500]
    assert [(table.axis, len(table.centres), table.categorical) for table in axes.tables] == [
        (1, 5, False),
        (3, 8, False),
        (4, 5, False),
        (5, 40, True),
    ]


def test_a_tables_index_is_the_value_that_is_decoded():
    space = Space({"few": Int(1, 5), "cat": Choice(["x", "y", "z"])})
    axes = axes_of(space)
    points = np.random.default_rng(2).random((100, 2))
    few, cat = (table.index(points[:, table.axis]) for table in axes.tables)
    for row, point in enumerate(points):
        assert axes.encoding.decode(point) == {"few": int(few[row]) + 1, "cat": "xyz"[cat[row]]}
    np.testing.assert_allclose(np.exp(axes.tables[0].log_uniform), 0.2)
