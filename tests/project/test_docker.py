"""Consistency of the files in docker/; docker/verify builds the images and runs them."""

import os
import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from gpuclust import __version__

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("docker/README.md", "docs/cluster.md")
}
FILES = sorted(path for path in DOCKER.iterdir() if path.is_file())


def compose(name):
    return yaml.safe_load((DOCKER / name).read_text(encoding="utf-8"))


def stages():
    """Return the stages of the Dockerfile: name -> lines."""
    parts = re.split(r"^FROM +", DOCKERFILE, flags=re.MULTILINE)[1:]
    heads = [part.partition("\n")[0].partition(" AS ") for part in parts]
    return {name: part for (_, _, name), part in zip(heads, parts, strict=True)}


# ---- the image ----------------------------------------------------------------------------------


def test_the_dockerfile_has_its_targets_and_an_argument_for_the_base():
    assert {"cpu", "gpu", "test"} <= stages().keys()
    assert re.search(r"^ARG BASE_IMAGE=\S+$", DOCKERFILE, flags=re.MULTILINE)
    for name in ("cpu", "gpu"):
        assert stages()[name].startswith("runtime AS")


def test_the_dockerfile_uses_no_buildkit_only_syntax():
    for word in ("<<", "--link", "# syntax="):
        assert word not in DOCKERFILE


def test_the_container_does_not_run_as_root():
    users = re.findall(r"^USER (\S+)", DOCKERFILE, flags=re.MULTILINE)
    assert users == ["10001:10001"]


def test_every_package_is_installed_by_hash_from_an_existing_lock():
    installs = re.findall(r"pip --python.*?install(?:.*?\\\n)*.*", DOCKERFILE)
    assert len(installs) == 5
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install
    for lock in set(re.findall(r"requirements/\S+\.txt", DOCKERFILE)):
        assert (ROOT / lock).exists()


@pytest.mark.parametrize("lock", ["docker-cpu", "docker-gpu-cu13"])
def test_locks_of_the_image_are_the_projects_without_development_tools(lock):
    def pins(name):
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        return set(re.findall(r"^[a-z].*?==\S+", text, flags=re.MULTILINE))

    shipped = pins(lock)
    assert shipped < pins(lock.removeprefix("docker-"))
    names = {pin.partition("==")[0] for pin in shipped}
    assert names.isdisjoint({"pytest", "hypothesis", "ruff", "uv"})
    assert {"torch", "distributed", "scikit-learn"} <= names


def test_no_file_names_an_index_or_carries_a_certificate():
    for path in (*FILES, ROOT / ".dockerignore", *(ROOT / name for name in PAGES)):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"index-url +\S*//|https?://(?!127\.0\.0\.1|\$)", text), path
        assert "BEGIN CERTIFICATE" not in text


def test_the_label_has_the_version():
    found = re.findall(r"^ARG VERSION=(\S+)$", DOCKERFILE, flags=re.MULTILINE)
    assert found == [__version__] * 2
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == __version__


def test_files_copied_by_the_dockerfile_are_sent_to_the_builder():
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.*) \S+$", DOCKERFILE, flags=re.MULTILINE)
    for source in " ".join(copied).split():
        assert f"!{source.partition('/')[0]}" in sent, source


# ---- compose ------------------------------------------------------------------------------------


def test_compose_has_the_services_and_the_volumes():
    files = compose("compose.yaml")
    assert files["services"].keys() == {"embed", "grid", "scheduler", "worker"}
    assert files["volumes"].keys() == {"data", "cache", "results"}
    for name in ("compose.gpu.yaml", "compose.tls.yaml"):
        assert compose(name)["services"].keys() <= files["services"].keys()


def test_every_service_is_locked_down():
    for service in compose("compose.yaml")["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert "user" not in service  # uid 10001 of the image


def test_everything_listens_on_localhost_by_default():
    for name in ("compose.yaml", "compose.gpu.yaml"):
        for service in compose(name)["services"].values():
            assert "ports" not in service
            for word in service.get("command", []):
                if word.startswith("--dashboard-address"):
                    assert word.partition("=")[2].startswith("127.0.0.1:")
                if word.startswith("--host"):
                    assert word.endswith("HOST:-127.0.0.1}")
    for name in ("scheduler", "worker"):
        command = " ".join(compose("compose.yaml")["services"][name]["command"])
        assert "--host=" in command and "--dashboard-address=" in command


def test_a_gpu_is_reserved_in_the_override_only():
    assert "deploy" not in (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    services = compose("compose.gpu.yaml")["services"]
    for name in ("embed", "grid", "worker"):
        (device,) = services[name]["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]
    assert {service["image"] for service in services.values()} == {"gpuclust:gpu"}


def test_tls_is_set_for_every_dask_process():
    handed = compose("compose.yaml")["services"]["grid"]["environment"]
    for name in ("grid", "scheduler", "worker"):
        set_there = compose("compose.tls.yaml")["services"][name]["environment"]
        assert {line.partition("=")[0] for line in set_there} == set(handed)
        assert "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=true" in set_there


# ---- documentation ------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_are_valid(page):
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[page]):
        assert ((ROOT / page).parent / link).exists(), link


def test_commands_of_the_readme_name_files_services_and_targets_that_exist():
    text = PAGES["docker/README.md"].replace("\\\n", " ")
    services = compose("compose.yaml")["services"]
    for command in re.findall(r"docker compose .*", text):
        words = re.split(r"[`#;]", command)[0].split()
        if verb := {"up", "run"} & set(words):
            after = words[words.index(verb.pop()) + 1 :]
            first = next(word for word in after if not word.startswith("-"))
            assert first in services, command
    for file in re.findall(r"docker/[\w.]+\.(?:yaml|sh)|docker/Dockerfile", text):
        assert (ROOT / file).exists(), file
    assert set(re.findall(r"--target (\w+)", text)) <= stages().keys()


@pytest.mark.parametrize("script", ["verify", "slurm.sh"])
def test_scripts_are_executable_bash(script):
    path = DOCKER / script
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", str(path)], check=True)


# ---- the health check ---------------------------------------------------------------------------


def health(*arguments, **environment):
    command = [sys.executable, str(DOCKER / "healthcheck.py"), *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_a_job_is_healthy_if_it_can_write(tmp_path):
    there = str(tmp_path)
    assert health(GPUCLUST_ROOT=there, HOME=there).returncode == 0
    done = health(GPUCLUST_ROOT=str(tmp_path / "gone"), HOME=there)
    assert done.returncode == 1
    assert "gone" in done.stderr


def test_a_service_is_healthy_if_it_answers():
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 500)
            self.end_headers()

        def log_message(self, *_):
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert health(f"{address}/health").returncode == 0
        assert health(f"{address}/broken").returncode == 1
        server.shutdown()
    assert "unhealthy" in health(f"{address}/health").stderr


# ---- the Slurm script, without Slurm ------------------------------------------------------------


@pytest.mark.long
def test_the_slurm_script_computes_a_grid_on_encrypted_workers(tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "grid.toml").write_text(
        'dataset = ["digits"]\nencoder = ["raw"]\nreducer = ["none"]\nclusterer = ["kmeans"]\n',
        encoding="utf-8",
    )
    root = tmp_path / "results"
    env = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    env |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
        "GPUCLUST_ROOT": str(root),
    }
    command = ["bash", str(DOCKER / "slurm.sh"), str(tmp_path / "grid.toml")]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "kmeans" in done.stdout
    (run,) = root.glob("cluster-*")
    assert "tls://127.0.0.1" in (run / "scheduler.log").read_text(encoding="utf-8")
    assert not list(run.glob("*.pem"))  # the key ends with the job
