"""Filters of ``gpuclust list encoders`` on the command line."""

import json

import pytest
from command_line import gpuclust

from cli.info import LISTS, _text
from cli.layout import table
from gpuclust.encoders.table import ENCODERS


def listed(*options):
    done = gpuclust("list", "encoders", *options, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["encoders"], done.stderr


def test_filters_combine_in_json_with_all_fields():
    rows, said = listed("--family", "image-text", "--max-dim", "768", "--licence", "open")
    assert {row["name"] for row in rows} >= {"siglip2_vitb16", "clip_vitb16", "bioclip2"}
    assert all(row["family"] == "image-text" and row["dimension"] <= 768 for row in rows)
    for field in ("labels", "gated", "pooling", "stands_for", "data", "licence", "url", "study"):
        assert all(field in row for row in rows)
    assert "without a stated licence" in said


def test_the_table_shows_the_filtered_encoders_and_notes_go_to_standard_error():
    done = gpuclust("list", "encoders", "dinov2_vit*", "--max-dim", "384")
    assert done.returncode == 0, done.stderr
    assert "dinov2_vits14_reg" in done.stdout
    assert "dinov2_vitb14" not in done.stdout
    done = gpuclust("list", "encoders", "--max-dim", "384")
    assert "of unknown dimension" in done.stderr
    assert "of unknown dimension" not in done.stdout


def test_gated_weights_are_marked():
    done = gpuclust("list", "encoders", "--licence", "CC-BY-NC-ND")
    lines = [line for line in done.stdout.splitlines() if line.startswith("uni")]
    assert len(lines) == 2
    assert all("accept" in line for line in lines)


def test_no_match_is_one_sentence_with_the_filters():
    done = gpuclust("list", "encoders", "--family", "none", "--licence", "NVIDIA")
    assert done.returncode == 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line == "no encoder with family 'none', licence 'NVIDIA'."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["encoders", "--family", "self-supervized"], "Did you mean 'self-supervised'"),
        (["encoders", "--max-dim", "0"], "at least 1; got 0"),
        (["encoders", "--max-dim", "many"], "--max-dim"),
        (["datasets", "--licence", "open"], "--licence filters encoders, not datasets"),
        (["datasets", "mnist"], "PATTERN filters encoders, not datasets"),
        (["--family", "none", "--max-dim", "3"], "--family and --max-dim filter"),
        (["metrics", "--max-dim", "0"], "--max-dim filters encoders, not metrics"),
        (["encoders", "--licence", ""], "licence is empty"),
    ],
)
def test_wrong_filters_are_refused(words, said):
    done = gpuclust("list", *words)
    assert done.returncode == 2, done.stdout
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_the_table_fits_a_terminal_of_100_columns():
    from rich.console import Console

    columns = LISTS["encoders"][1]
    rows = LISTS["encoders"][0]()
    assert len(rows) == len(ENCODERS)
    lines = [[_text(key, row[key]) for key in columns] for row in rows]
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        for part, width in table(list(columns.values()), lines, 100):
            console.print(part, width=width, soft_wrap=False)
    shown = capture.get().splitlines()
    assert max(map(len, shown)) <= 100
    assert all(title in shown[0] for title in columns.values())
    assert any(line.startswith("dinov2_vitb14 ") for line in shown)
