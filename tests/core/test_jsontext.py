import json
import math

from hypothesis import given
from hypothesis import strategies as st

from lightning_tune.core.jsontext import metrics_to_text, text_to_metrics


@given(st.dictionaries(st.text(), st.floats()))
def test_round_trip_is_exact_and_the_text_is_valid_json(metrics):
    text = metrics_to_text(metrics)
    json.loads(text, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))
    back = text_to_metrics(text)
    assert back.keys() == metrics.keys()
    for name, value in metrics.items():
        assert back[name] == value or (math.isnan(value) and math.isnan(back[name]))
