import pytest

from lightning_tune.track.secrets import without_secrets


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["t.py", "--lr", "0.1", "-v"], ["t.py", "--lr", "0.1", "-v"]),
        (["--api-key", "abc"], ["--api-key", "***"]),
        (["--apiKey=abc", "--x"], ["--apiKey=***", "--x"]),
        (["--token", "--verbose", "abc"], ["--token", "--verbose", "abc"]),
        (["--trainer.logger.init_args.password=p=q"], ["--trainer.logger.init_args.password=***"]),
        (["WANDB_API_KEY=abc"], ["WANDB_API_KEY=***"]),
        (["--pwd", "-x1"], ["--pwd", "***"]),
        (["--keep", "3", "--monitor", "val_acc"], ["--keep", "3", "--monitor", "val_acc"]),
        (["postgresql+psycopg://me:p:w/@h:5/d"], ["postgresql+psycopg://me:p:w/@h:5/d"]),
        (["--store=postgresql://me:p@w@host/db"], ["--store=postgresql://me:***@host/db"]),
        (["postgresql://h/db?user=me&password=pw#f"], ["postgresql://h/db?user=me&password=***#f"]),
        (["https://example.org/a?x=1"], ["https://example.org/a?x=1"]),
        (["note: ghp_abcdefgh1234567890"], ["note: ***"]),
        (["0123456789abcdef0123456789abcdef01234567"], ["***"]),
        (
            ["/data/0123456789abcdef0123456789abcdef01234567/x"],
            ["/data/0123456789abcdef0123456789abcdef01234567/x"],
        ),
        (["a_long_name_of_an_experiment_without_numbers"], ["a_long_name_of_an_experiment_without_numbers"]),
    ],
)
def test_what_looks_like_a_secret_is_hidden(given: list[str], kept: list[str]) -> None:
    assert list(without_secrets(given)) == kept
