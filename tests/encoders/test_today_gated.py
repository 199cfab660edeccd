"""Weights behind terms: the answer of the hub becomes an error with the page and the next step."""

import http.server
import threading

import pytest
from huggingface_hub import constants, errors

from gpuclust import encoders
from gpuclust.encoders import hub
from gpuclust.errors import WeightsError


@pytest.fixture
def refusing(monkeypatch, tmp_path):
    """Start a stand-in for the hub; ``status`` and ``code`` are its answer to everything."""

    class Answer(http.server.BaseHTTPRequestHandler):
        status, code = 401, "GatedRepo"

        def do_HEAD(self):
            self.send_response(self.status)
            self.send_header("X-Error-Code", self.code)
            self.send_header("X-Error-Message", "Access to model is restricted.")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    yield url, Answer
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "stands_for", "page"),
    [
        ("uni", "timm/hf-hub:MahmoodLab/UNI?pool=cls", "MahmoodLab/UNI"),
        ("uni2_h", "timm/hf-hub:MahmoodLab/UNI2-h?pool=cls", "MahmoodLab/UNI2-h"),
        (
            "dinov3_vits16",
            "timm/vit_small_patch16_dinov3.lvd1689m?pool=cls",
            "timm/vit_small_patch16_dinov3.lvd1689m",
        ),
        ("bioclip2", "open_clip/hf-hub:imageomics/bioclip-2", "imageomics/bioclip-2"),
        (
            "clip_dfn_vitb16",
            "open_clip/ViT-B-16-quickgelu/dfn2b",
            "apple/DFN2B-CLIP-ViT-B-16",
        ),
    ],
)
@pytest.mark.parametrize(("status", "code"), [(401, "GatedRepo"), (403, "GatedRepo"), (403, "")])
def test_refused_weights_name_the_page_of_the_terms_and_the_token(
    refusing, tmp_path, name, stands_for, page, status, code
):
    url, answer = refusing
    answer.status, answer.code = status, code
    with pytest.raises(WeightsError) as caught:
        encoders.load(name)
    said = str(caught.value)
    for part in (f"{name!r} stands for {stands_for!r}", f"{url}/{page},", "HF_TOKEN", "hf auth"):
        assert part in said
    assert "no connection" not in said
    assert "\n" not in said
    assert not list((tmp_path / "hub").rglob("*.safetensors"))
    assert not list((tmp_path / "hub").rglob("*.bin"))


def test_the_exceptions_are_those_of_huggingface_hub(refusing):
    import huggingface_hub

    with pytest.raises(errors.GatedRepoError) as caught:
        huggingface_hub.hf_hub_download("MahmoodLab/UNI", "config.json")
    assert hub.refused(caught.value)
    assert not hub.refused(errors.LocalEntryNotFoundError("not in the cache"))
    wrapped = FileNotFoundError("failed")
    wrapped.__context__ = caught.value
    assert hub.refused(wrapped)


def test_a_server_that_fails_asks_for_no_token(refusing):
    _, answer = refusing
    answer.status, answer.code = 404, "RepoNotFound"
    with pytest.raises(WeightsError) as caught:
        encoders.load("uni")
    assert "HF_TOKEN" not in str(caught.value)
    assert "HF_HUB_CACHE" in str(caught.value)
