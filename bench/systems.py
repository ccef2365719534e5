"""A worker that times PyTorch or OpenVINO; the commands are those of bench/towers.cc.

    python bench/systems.py torch|openvino

The model is open_clip's CLIP class with the weights of an open_clip hub directory. Each system runs in
its faster set-up, found by trial when a cell is prepared:

    torch     eager in inference mode, attention by torch's fused encoder path or by
              scaled_dot_product_attention; bf16: the whole model in bf16
    openvino  the tower converted from PyTorch, of fixed shape, tuned for latency (one request on all
              threads) or throughput (one stream a thread, the batch divided among them); fp32 and
              bf16 are asked for by name
"""

from __future__ import annotations

import gc
import json
import os
import pathlib
import sys
import time
import warnings

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import load_file

LONG_PASS = 1.0  # seconds


def load_clip(directory: str) -> CLIP:
    directory = pathlib.Path(directory)
    config = json.loads((directory / "open_clip_config.json").read_text())["model_cfg"]
    for key in ("hf_tokenizer_name", "tokenizer_kwargs"):
        config["text_cfg"].pop(key, None)
    model = (CustomTextCLIP if config.pop("custom_text", False) else CLIP)(**config)
    model.load_state_dict(load_file(directory / "open_clip_model.safetensors"))
    return model.eval().requires_grad_(False)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class Texts(torch.nn.Module):
    def __init__(self, model: CLIP):
        super().__init__()
        self.model = model

    def forward(self, tokens):
        return self.model.encode_text(tokens)


class System:
    """Answers the commands; a subclass offers `setups`: name → function that runs one pass."""

    def __init__(self):
        self.loaded = None
        self.run = None

    def answer(self, command: dict) -> dict:
        return getattr(self, command["op"])(**{k: v for k, v in command.items() if k != "op"})

    def info(self) -> dict:
        return dict(precisions=["fp32", "bf16"])

    def prepare(self, model, precision, task, threads, pixels=None, batch=None, texts=None) -> dict:
        if self.loaded != (model, precision):
            self.run = None
            self.forget()
            gc.collect()
            self.load(model, precision)
            self.loaded = (model, precision)
        if task == "image":
            inputs = torch.from_numpy(np.load(pixels, mmap_mode="r")[:batch].copy())
        else:
            inputs = open_clip.tokenize(texts)
        self.run = None
        trials = {}
        passes = self.setups(task, inputs, precision, threads)
        for name, run in passes.items():
            trials[name] = self.timed(run)
            if trials[name] < LONG_PASS:  # else what is done once is lost in it
                trials[name] = min(self.timed(run) for _ in range(2))
        best = min(trials, key=trials.get)
        self.run = passes[best]
        return dict(rows=len(inputs), setup=best, trials=trials)

    def timed(self, run) -> float:
        start = time.perf_counter()
        self.rows = run()
        return time.perf_counter() - start

    def time(self, passes: int) -> dict:
        start = time.perf_counter()
        for _ in range(passes):
            self.rows = self.run()
        return dict(seconds=time.perf_counter() - start)

    def write(self, out: str) -> dict:
        file = f"{out}.rows.npy"
        np.save(file, unit(self.rows.astype(np.float32)))
        return dict(files=dict(rows=file))


class Torch(System):
    def forget(self):
        self.model = None

    def load(self, directory, precision):
        self.model = load_clip(directory)
        if precision == "bf16":
            self.model.to(torch.bfloat16)

    def setups(self, task, inputs, precision, threads):
        torch.set_num_threads(threads)
        encode = self.model.encode_image if task == "image" else self.model.encode_text
        if task == "image" and precision == "bf16":
            inputs = inputs.to(torch.bfloat16)

        def with_fast_path(enabled: bool):
            def run():
                torch.backends.mha.set_fastpath_enabled(enabled)
                with torch.inference_mode():
                    return encode(inputs).float().numpy()
            return run

        return {"fused encoder": with_fast_path(True), "sdpa": with_fast_path(False)}


class OpenVino(System):
    def __init__(self):
        super().__init__()
        os.environ["CI"] = "true"  # the package then reports nothing to its makers
        import openvino
        self.ov = openvino
        self.core = openvino.Core()

    def info(self) -> dict:
        return super().info() | dict(version=self.ov.__version__)

    def forget(self):
        self.towers = {}

    def load(self, directory, precision):
        self.directory = directory

    def tower(self, task):
        """The converted tower, of any batch; kept for the model's other cells."""
        if task not in self.towers:
            model = load_clip(self.directory)
            torch.backends.mha.set_fastpath_enabled(False)
            side = model.visual.image_size[0]
            module, example = ((model.visual, torch.zeros(2, 3, side, side)) if task == "image"
                               else (Texts(model), open_clip.tokenize(["a", "b c"])))
            with torch.inference_mode():
                self.towers[task] = self.ov.convert_model(module, example_input=example)
        return self.towers[task]

    def compiled(self, task, shape, precision, threads, hint, streams):
        tower = self.tower(task)
        tower.reshape(self.ov.PartialShape(list(shape)))
        return self.core.compile_model(tower, "CPU", {
            "PERFORMANCE_HINT": hint, "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(threads),
            "INFERENCE_PRECISION_HINT": dict(fp32="f32", bf16="bf16")[precision]})

    def setups(self, task, inputs, precision, threads):
        inputs = inputs.numpy()
        batch, rest = len(inputs), inputs.shape[1:]
        request = self.compiled(task, inputs.shape, precision, threads, "LATENCY",
                                1).create_infer_request()

        def latency():
            return np.array(next(iter(request.infer(inputs, share_inputs=True).values())))

        passes = {"latency": latency}
        if threads > 1 and batch >= threads and batch % threads == 0:
            part = batch // threads
            model = self.compiled(task, (part, *rest), precision, threads, "THROUGHPUT", threads)
            requests = [model.create_infer_request() for _ in range(threads)]

            def throughput():
                for i, r in enumerate(requests):
                    r.start_async(inputs[i * part:(i + 1) * part], share_inputs=True)
                for r in requests:
                    r.wait()
                return np.concatenate([r.get_output_tensor().data for r in requests])

            passes["throughput"] = throughput
        return passes


def answer_commands(system: System):
    answers = sys.stdout
    sys.stdout = sys.stderr  # what the packages print
    for line in sys.stdin:
        try:
            answer = system.answer(json.loads(line))
        except Exception as e:  # the driver says it and stops
            answer = dict(error=f"{type(e).__name__}: {e}")
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FutureWarning)  # of torch's tracing
    answer_commands(dict(torch=Torch, openvino=OpenVino)[sys.argv[1]]())
