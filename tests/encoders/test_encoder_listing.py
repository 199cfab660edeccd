"""Filters of encoders in Python, and the page on encoders with its tables."""

import re
import shlex

import pytest
from command_line import gpuclust
from encoder_tables import PAGE, filled, groups

from gpuclust import encoders
from gpuclust.encoders import listing
from gpuclust.encoders.entry import FAMILIES
from gpuclust.encoders.table import ENCODERS
from gpuclust.errors import InputError, UnknownNameError

TEXT = PAGE.read_text(encoding="utf-8")


def names(**filters):
    return {row["name"] for row in encoders.available(**filters)}


def test_filters_combine_and_keep_what_the_registry_says():
    wanted = {
        key
        for key, entry in ENCODERS.items()
        if entry.family == "self-supervised"
        and entry.dimension is not None
        and entry.dimension <= 1024
        and entry.licence in ("Apache-2.0", "MIT")
    }
    found = names(family="self-supervised", max_dim=1024, licence="open")
    assert found == wanted
    assert {"dinov2_vitb14", "dinov2_vitl14_reg", "dino_vitb16"} <= found
    assert not found & {"dinov3_vitb16", "dinov2_vitg14", "clip_laion_vitb16", "uni", "raw"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_its_entries_only(family):
    keys = {entry.template(key) for key, entry in ENCODERS.items() if entry.family == family}
    assert names(family=family) == keys


def test_the_limit_of_the_dimension_is_included():
    assert "dinov2_vitb14" in names(max_dim=768)
    assert "dinov2_vitb14" not in names(max_dim=767)


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("Apache-2.0", True),
        ("Apache License 2.0", True),
        ("MIT", True),
        ("BSD-3-Clause", True),
        ("CC0-1.0", True),
        ("CC BY 4.0", True),
        ("cc-by-sa-4.0", True),
        ("public domain", True),
        ("CC-BY-NC-4.0", False),
        ("CC-BY-NC-ND-4.0", False),
        ("CC-BY-ND-4.0", False),
        ("DINOv3 License", False),
        ("NVIDIA Open Model License", False),
        ("Apple Sample Code License", False),
        ("custom", False),
        ("varies", False),
        ("not stated", False),
        ("MITsomething", False),
    ],
)
def test_open_licences_are_those_that_allow_any_use(licence, allowed):
    assert listing.is_open(licence) is allowed


def test_every_licence_of_the_registry_was_judged():
    judged = {licence: listing.is_open(licence) for licence in
              {entry.licence for entry in ENCODERS.values()}}  # fmt: skip
    assert {licence for licence, allowed in judged.items() if allowed} == {
        "Apache-2.0",
        "MIT",
        "none needed",
    }


def test_a_licence_text_matches_in_any_case():
    found = names(licence="dinov3")
    assert found == {key for key in ENCODERS if key.startswith("dinov3_")}


def test_undecided_encoders_are_counted():
    all_rows = encoders.available()
    found = listing.select(max_dim=10_000)
    silent = [row for row in all_rows if row["dimension"] is None]
    assert silent
    assert len(found.rows) == len(all_rows) - len(silent)
    assert found.notes == [
        f"{len(silent)} of unknown dimension: not listed, because max-dim cannot decide."
    ]
    unstated = [row for row in all_rows if row["licence"] in ("varies", "not stated")]
    assert listing.select(licence="open").notes == [
        f"{len(unstated)} without a stated licence: not listed, because licence cannot decide."
    ]
    assert listing.select(licence="not stated").notes == [
        "3 without a stated licence: not listed, because licence cannot decide."
    ]


def test_an_empty_list_says_its_filters():
    found = listing.select("dinov3", family="supervised", max_dim=5, licence="open")
    assert found.rows == []
    assert found.notes[-1] == (
        "no encoder with name 'dinov3', family 'supervised', max-dim 5, licence 'open'."
    )


@pytest.mark.parametrize(
    ("filters", "error", "said"),
    [
        ({"family": "selfsupervised"}, UnknownNameError, "Did you mean 'self-supervised'"),
        ({"family": ""}, UnknownNameError, "unknown family"),
        ({"max_dim": 0}, InputError, "at least 1; got 0"),
        ({"licence": " "}, InputError, "is empty"),
    ],
)
def test_a_filter_that_cannot_work_is_refused(filters, error, said):
    with pytest.raises(error, match=said):
        encoders.available(**filters)


def test_a_pattern_finds_the_models_of_the_sources_too():
    found = names(pattern="vit_base_patch16_dinov3.lvd*")
    assert found == set()
    found = names(pattern="*vit_base_patch16_dinov3.lvd*")
    assert found == {"timm/vit_base_patch16_dinov3.lvd1689m"}


def test_the_tables_of_the_page_are_those_of_the_registry():
    assert filled(TEXT) == TEXT, "run: python tests/encoders/encoder_tables.py"


def test_every_encoder_is_in_one_table_and_the_study_has_twenty():
    named = groups()
    assert len(named["study"]) == 20
    assert sorted(name for names in named.values() for name in names) == sorted(ENCODERS)


def test_the_page_names_every_open_licence():
    found = re.search(r"`--licence open` keeps.*?\n\n", TEXT, re.DOTALL)
    paragraph = " ".join(found.group().split())
    for licence in listing.OPEN_LICENCES[:-1]:
        assert licence in paragraph


def test_the_commands_of_the_page_run(tmp_path):
    block = re.search(r"(?:^    gpuclust .*\n)+", TEXT, re.MULTILINE).group()
    commands = [shlex.split(line) for line in block.splitlines()]
    assert len(commands) == 4
    for command in commands:
        done = gpuclust(*command[1:], cwd=tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert done.stdout
