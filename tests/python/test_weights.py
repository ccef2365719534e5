"""Weights as people bring them: the shipped model's in other files and types has its fingerprint."""

import json
import os
import pickle
import resource
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CLIPLENS_PROGRAM", str(ROOT / "build/release/bin/cliplens"))
MODEL = ROOT / "models/pictureworld"
CONFIG = MODEL / "open_clip_config.json"
# The sanitizers take memory of their own.
SANITIZED = b"__asan_init" in Path(PROGRAM).read_bytes() if Path(PROGRAM).exists() else False
DTYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def read_weights():
    data = (MODEL / "open_clip_model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data, DTYPES[e["dtype"]], offset=8 + size + e["data_offsets"][0],
                                count=int(np.prod(e["shape"]))).reshape(e["shape"])
            for name, e in header.items()}


@pytest.fixture(scope="module")
def weights():
    return read_weights()


def run(*arguments, status=0):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def fingerprint(*model):
    return json.loads(run("info", *model, "--json"))["fingerprint"]


def write_safetensors(path, arrays, dtype):
    header, data = {}, b""
    for name, array in arrays.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def save_as_torch_does(path, state, protocol):
    """torch.save of a dictionary without tensors: an archive with one pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(state, protocol))
        archive.writestr("x/byteorder", "little")
        archive.writestr("x/version", "3\n")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numpy_arrays_in_a_state_dictionary(protocol, weights, tmp_path):
    state = {name: np.asfortranarray(array) if i % 2 else np.array(array)
             for i, (name, array) in enumerate(weights.items())}
    save_as_torch_does(tmp_path / "arrays.pt", {"epoch": 3, "state_dict": state}, protocol)
    assert (fingerprint(tmp_path / "arrays.pt", "--arch", CONFIG) == fingerprint(MODEL))


def eight_bits(kind):
    """All values of a type of eight bits, as the formats define them."""
    fraction_bits, bias = (3, 7) if kind == "F8_E4M3" else (2, 15)
    bits = np.arange(256)
    exponent, fraction = (bits & 0x7F) >> fraction_bits, bits & ((1 << fraction_bits) - 1)
    value = np.where(exponent == 0, np.ldexp(fraction * 1.0, 1 - bias - fraction_bits),
                     np.ldexp(fraction + float(1 << fraction_bits), exponent - bias - fraction_bits))
    value[(bits & 0x7F) >= (0x7F if kind == "F8_E4M3" else 0x7C)] = np.inf
    return np.where(bits & 0x80, -value, value)


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2"])
def test_weights_of_eight_bits(kind, weights, tmp_path):
    table = eight_bits(kind)
    order = np.argsort(table[np.isfinite(table)], kind="stable")
    codes = np.arange(256, dtype=np.uint8)[np.isfinite(table)][order]
    values = table[codes]
    coded = {name: codes[np.clip(np.searchsorted(values, array), 0, len(codes) - 1)]
             for name, array in weights.items()}
    write_safetensors(tmp_path / "eight.safetensors", coded, kind)
    write_safetensors(tmp_path / "plain.safetensors",
                      {name: table[code].astype("<f4") for name, code in coded.items()}, "F32")
    eight = fingerprint(tmp_path / "eight.safetensors", "--arch", CONFIG)
    assert eight == fingerprint(tmp_path / "plain.safetensors", "--arch", CONFIG)
    assert eight != fingerprint(MODEL)


LONG = "a duck on a pond and " * 40


def picture_of(folder):
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (80, 80, 3), np.uint8)).save(
        folder / "p.png")
    return folder / "p.png"


def test_long_texts_of_heatmap_explain_and_report(tmp_path):
    picture = picture_of(tmp_path)
    (tmp_path / "two").mkdir()
    for i in range(2):
        Image.new("RGB", (80, 80), (200 * i, 90, 30)).save(tmp_path / f"two/{i}.png")
    store = tmp_path / "store"
    run("decompose", MODEL, "--images", tmp_path / "two", "--out", store)
    (tmp_path / "texts.txt").write_text(f"{LONG}\n")
    (tmp_path / "pool.txt").write_text("a duck\na pond\n")
    run("embed", MODEL, "--texts", tmp_path / "texts.txt", "--truncate", "--out", tmp_path / "t.npy")
    run("embed", MODEL, "--images", picture, "--out", tmp_path / "i.npy")
    score = float(np.load(tmp_path / "t.npy")[0].astype(float) @ np.load(tmp_path / "i.npy")[0])
    verbs = {"heatmap": ["heatmap", MODEL, "--image", picture, "--text", LONG, "--json"],
             "explain": ["explain", MODEL, "--image", picture, "--text", LONG, "--json"],
             "report": ["report", store, "--texts", tmp_path / "pool.txt", "--image", picture,
                        "--text", LONG, "--out", tmp_path / "r.html"]}
    for verb, arguments in verbs.items():
        assert "--truncate" in run(*arguments, status=2), verb
        out = run(*arguments, "--truncate")
        if verb != "report":
            assert abs(json.loads(out)["score"] - score) < 1e-5, verb
    assert (tmp_path / "r.html").stat().st_size > 10_000


def limited(limits, *arguments):
    """Status and message under limits of the system; -6 and -11 are crashes."""
    def set_limits():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for limit, value in limits.items():
            resource.setrlimit(limit, (value, value))
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          preexec_fn=set_limits, timeout=300)
    return done.returncode, done.stderr


@pytest.mark.skipif(SANITIZED, reason="sanitizers need terabytes of address space")
@pytest.mark.parametrize("limit", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
def test_too_little_memory_is_a_clear_line(limit, tmp_path):
    """No limit crashes the program, and above the stated one it works."""
    picture = picture_of(tmp_path)
    seen = set()
    for megabytes in (60, 90, 100, 110, 120, 130, 140, 150, 170, 200, 260, 512):
        if limited({limit: megabytes << 20}, "--version")[0] != 0:
            continue  # the program and its libraries were not loaded, or not initialised
        status, err = limited({limit: megabytes << 20}, "embed", MODEL, "--images", picture,
                              "--threads", 3, "--out", tmp_path / f"{megabytes}.npy")
        assert status in (0, 6), (megabytes, status, err)
        assert status == 0 or (err.startswith("cliplens: exhausted: ") and err.count("\n") == 1), err
        seen.add(status)
    assert status == 0
    assert seen == {0, 6}
