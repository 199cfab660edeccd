"""Presets on the command line: `preset`, `grid --preset`, `embed --preset`."""

import json
import subprocess
import sys

import pytest
import small_digits
from command_line import gpuclust
from miniatures.pictures import photo

from gpuclust.store.store import Store

SIX = ["kmeans", "spectral", "agglomerative", "agglomerative_threshold", "affinity", "hdbscan"]


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    small_digits.use_first(monkeypatch, 120)


def rows(root):
    def fail(text):
        pytest.fail(text)

    return list(Store(root).each_row(fail))


def test_the_presets_are_listed():
    done = gpuclust("preset", "list")
    assert done.returncode == 0
    assert "study" in done.stdout
    (record,) = json.loads(gpuclust("preset", "list", "--json").stdout)
    assert (len(record["datasets"]), len(record["encoders"])) == (26, 20)


def test_a_row_is_shown_with_every_parameter_of_the_study():
    done = gpuclust("preset", "show", "study", "mocov3_resnet50")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["cell", *SIX]
    text = done.stdout
    for part in (
        "umap(n_components=50, n_neighbors=30, min_dist=0.0, metric=euclidean, seeded=True)",
        "kmeans(n_init=1, max_iter=1000, init='k-means++')",
        "spectral(n_neighbors=30, assign_labels=cluster_qr)",
        "agglomerative(linkage=ward, metric=euclidean)",
        "agglomerative_threshold(distance_threshold=10.0, linkage=ward, metric=euclidean, stand",
        "affinity(damping=0.75, max_iter=1000, convergence_iter=15)",
        "hdbscan(min_cluster_size=5, max_cluster_size=0.2, metric=euclidean, cluster_sel",
    ):
        assert part in text
    assert done.stderr == "preset study, row mocov3_resnet50\n"


def test_a_row_is_shown_for_a_dataset_and_as_json():
    done = gpuclust("preset", "show", "study", "resnet50", "--dataset", "celeba", "--json")
    row = json.loads(done.stdout)["rows"]["resnet50"]
    assert list(row) == SIX
    assert row["hdbscan"]["resolved"]["clusterer"]["min_cluster_size"] == 2


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("efficientnet_lite0", "has no row for efficientnet_lite0: its default is used"),
        ("none", "preset study, row raw"),
        ("timm/resnet50.tv2_in1k", "row resnet50: timm/resnet50.tv2_in1k is the same network"),
    ],
)
def test_the_row_of_another_name_is_explained(encoder, said):
    done = gpuclust("preset", "show", "study", encoder)
    assert (done.returncode, said in done.stderr) == (0, True)


def test_the_whole_table_has_every_encoder_and_the_default():
    lines = gpuclust("preset", "show", "study").stdout.splitlines()
    assert len(lines) == 1 + 21 * 6
    assert lines[-1].startswith("default")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["preset", "show", "studie"], "unknown preset 'studie'"),
        (["preset", "show", "study", "resnet5"], "unknown encoder 'resnet5'"),
        (["preset", "show", "study", "raw", "--dataset", "digit"], "unknown dataset 'digit'"),
        (["grid"], "a grid FILE, or --preset study"),
        (["grid-status"], "a grid FILE, or --preset study"),
        (["grid", "g.toml", "--preset", "study"], "a grid file or a preset, not both"),
        (["grid", "g.toml", "--seed", "1"], "a grid file or a preset, not both"),
        (["grid", "--dataset", "digits"], "a grid FILE, or --preset study"),
        (["grid", "--preset", "study", "--dataset", "digit"], "unknown dataset 'digit'"),
        (["grid", "--preset", "no.toml"], "cannot read the preset no.toml"),
        (["embed"], "embed DATASET ENCODER"),
        (["embed", "digits"], "embed DATASET ENCODER"),
        (["embed", "digits", "raw", "--preset", "study"], "not both: digits and --preset study"),
        (["embed", "digits", "raw", "--encoder", "raw"], "names or options, not both: digits"),
        (["embed", "--dataset", "digits"], "--dataset D --encoder A"),
        (["embed", "--encoder", "raw"], "--dataset D --encoder A"),
        (["embed", "--dataset", "digits", "--encoder", "nope"], "unknown encoder 'nope'"),
        (["embed", "--dataset", "digits", "--encoder", "raw", "--force"], "take one embedding"),
        (["embed", "--preset", "study", "--force"], "--force and --verify take one embedding"),
    ],
)
def test_bad_input_is_one_sentence(args, said, tmp_path):
    done = gpuclust(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_dry_run_and_a_status_count_the_cells_of_the_whole_study(tmp_path):
    done = gpuclust("grid", "--preset", "study", "--dry-run", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("3120 cells, 3120 to compute, about")
    assert len(done.stdout.splitlines()) == 1 + 520 + 1
    assert "sizes of published datasets are from the registry" in done.stderr
    done = gpuclust("grid-status", "--preset", "study", "--json", "--device", "cpu", cwd=tmp_path)
    assert json.loads(done.stdout)["cells"] == 3120


def test_a_dry_run_of_the_study_imports_no_library_of_encoders(tmp_path):
    """Importing open_clip alone takes five seconds."""
    code = (
        "import sys; from gpuclust.presets import load, units;"
        "from gpuclust.store.store import Store;"
        "from gpuclust.embeddings.load import check_sources;"
        "check_sources(units(load('study')), Store('results'));"
        "print([name for name in ('open_clip', 'timm', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_several_encoders_embed_a_folder_over_one_decoding_pass(tmp_path):
    for i in range(6):
        photo(i, size=(40, 32)).save(tmp_path / f"{i}.png")
    names = ["--encoder", "random/test_vit", "--encoder", "random/test_vit2"]
    where = ["--device", "cpu", "--root", "results"]
    done = gpuclust("embed", "--dataset", ".", *names, *where, cwd=tmp_path)
    assert done.returncode == 0
    assert "the images are decoded once for 2 encoders" in done.stderr
    assert "2 of 2 embedded in results" in done.stderr
    assert len(list(tmp_path.glob("results/embeddings/*/*.npy"))) == 2


@pytest.mark.slow
def test_a_preset_runs_and_goes_on_where_it_ended(tmp_path):
    args = ["grid", "--preset", "study", "--dataset", "digits", "--encoder", "raw"]
    args += ["--encoder", "efficientnet_lite0", "--device", "cpu", "--root", tmp_path]
    done = gpuclust(*args)
    assert "no row for efficientnet_lite0: its default is used" in done.stderr
    found = rows(tmp_path)
    assert len(found) == 12
    assert {row["seed"] for row in found} == {1}
    assert {row["preprocess"] for row in found} == {"study"}
    # Raw digits have 192 dimensions, and the study's row asks for 200 components, twice.
    failed = [row["error"]["message"] for row in found if row["status"] == "failed"]
    assert len(failed) == 2
    assert all("needs at least 200 samples and dimensions" in text for text in failed)
    assert done.returncode == 1
    assert "failed: pca(n_components=200) needs at least 200" in done.stderr
    assert "(1 unit, 2 cells)" in done.stderr
    again = gpuclust(*args)
    assert "0 cells computed" in again.stderr
    assert "12 had a row before" in again.stderr
    more = gpuclust(*args, "--seed", "2", "--dry-run")
    assert more.stdout.splitlines()[-1].startswith("12 cells, 12 to compute")


def test_what_cannot_be_had_is_a_failed_row_with_its_reason_and_no_traceback(tmp_path):
    args = ["grid", "--preset", "study", "--device", "cpu", "--root", tmp_path / "root"]
    args += ["--data-dir", tmp_path, "--dataset", "nabirds", "--dataset", "digits"]
    done = gpuclust(*args, "--encoder", "ft_dino_vitb16", "--encoder", "resnet50_mine")
    assert done.returncode == 2  # a name that does not exist is refused at the start
    done = gpuclust(*args, "--encoder", "ft_dino_vitb16", "--encoder", "raw")
    found = rows(tmp_path / "root")
    assert len(found) == 4 * 6
    missing = {
        (row["dataset"], row["encoder"]): row["error"]["message"]
        for row in found
        if row["status"] == "failed" and "n" not in row
    }
    assert set(missing) == {("nabirds", "raw"), ("nabirds", "ft_dino_vitb16")} | {
        ("digits", "ft_dino_vitb16")
    }
    assert missing["nabirds", "raw"] == missing["nabirds", "ft_dino_vitb16"]
    assert "nabirds is not in" in missing["nabirds", "raw"]
    assert "released" in missing["digits", "ft_dino_vitb16"]
    assert "Traceback" not in done.stderr
    for reason, count in [("nabirds is not in", 2), ("ft_dino_vitb16", 1)]:
        said = [line for line in done.stderr.splitlines() if reason in line and "unit" in line]
        (line,) = [line for line in said if line.startswith("failed: ")]
        assert f"({count} unit" in line
    assert done.returncode == 1


def test_a_preset_of_ones_own_runs_on_the_command_line(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'seed = 3\n[encoders.raw]\nmine = ["zscore", "kmeans"]\n[datasets]\ndigits = {}\n'
    )
    done = gpuclust("grid", "--preset", "mine.toml", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0
    (row,) = rows(tmp_path / "gpuclust-results")
    assert (row["reducer"], row["seed"], row["preprocess"]) == ("zscore", 3, "own")
    shown = gpuclust("preset", "show", "mine.toml", "raw", cwd=tmp_path)
    assert "zscore" in shown.stdout


def test_all_embeddings_of_a_preset_are_computed_once(tmp_path):
    args = ["embed", "--preset", "study", "--dataset", "digits", "--dataset", "nabirds"]
    args += ["--encoder", "raw", "--device", "cpu", "--root", tmp_path, "--data-dir", tmp_path]
    done = gpuclust(*args)
    assert done.returncode == 1
    header, digits, nabirds = done.stdout.splitlines()
    assert digits.split()[-2:] == ["120", "192"]
    assert "nabirds is not in" in nabirds
    assert "1 of 2 embedded" in done.stderr
    before = Store(tmp_path).root.joinpath("embeddings").rglob("*.json")
    times = {path: path.stat().st_mtime_ns for path in before}
    assert gpuclust(*args).returncode == 1
    assert times == {path: path.stat().st_mtime_ns for path in times}
    del header
    done = gpuclust(*args[:5], *args[7:])  # digits only
    assert done.returncode == 0
    grid = gpuclust("grid", *args[1:5], *args[7:11], "--root", tmp_path)
    assert "embedding digits" not in grid.stderr
