"""What the explorer takes on a store of 10,000 generated pictures of an L/14.

    python bench/explorer.py --program build/release/bin/cliplens --worker build/release/bin/cliplens_bench_analysis

The model has random weights, the store generated factors. Times are those of the server: the first
answers after the start, a head's page, and an edit that changes by one head, with accuracy of ten
classes, groups, and with and without the pictures most like one. The texts of the pool and the classes
are in the cache, as they are at every start but the first. Memory is what the process has beside
mapped files. With --browsers the first view is opened in that many fresh Chromiums (needs `npm ci` in
web/).
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import command_line, machine, save  # noqa: E402
import inputs  # noqa: E402

ROOT = inputs.ROOT


class Server:
    def __init__(self, program, store, folder):
        start = time.monotonic()
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
        classes = folder / "classes.txt"
        classes.write_text("".join(f"class {i}\tc{i}\n" for i in range(10)))
        self.process = subprocess.Popen(
            [program, "serve", store, "--port", "0", "--json", "--classes", classes, "--templates",
             "simple"], stdout=subprocess.PIPE, env=environment)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.opened = time.monotonic() - start

    def ask(self, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        start = time.monotonic()
        headers = {"Accept-Encoding": "gzip, deflate, br"}  # as a browser asks
        if body:
            headers["Content-Type"] = "application/json"
        connection.request("GET" if body is None else "POST", path, body and json.dumps(body),
                           headers)
        answer = connection.getresponse()
        text = answer.read()
        seconds = time.monotonic() - start
        connection.close()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {text[:300]}")
        return seconds, text

    def wait(self):
        while json.loads(self.ask("/api/v1/sources")[1])["sources"][0]["preparing"]:
            time.sleep(.2)

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024

    def stop(self):
        self.process.terminate()
        self.process.wait()


def edits(server, toggles, ranked):
    """Milliseconds of each change by one head."""
    times, chosen = [], []
    for i in range(toggles + 1):
        head = f"L{18 + i % 6}.H{i % 16}"
        chosen = [h for h in chosen if h != head] if head in chosen else chosen + [head]
        body = {"edit": {"components": chosen, "mode": "mean"}, "attribute": "group"}
        if ranked:
            body |= {"query": {"item": 5}, "count": 12}
        seconds, _ = server.ask("/api/v1/sources/s0/edit", body)
        times.append(1000 * seconds)
    return times[1:]  # the first makes what the others change


def paints(server, browsers):
    """First contentful paint and the overview's grid, milliseconds from the navigation."""
    return json.loads(subprocess.run(
        ["node", ROOT / "web/tests/paint.mjs", f"http://127.0.0.1:{server.port}/", str(browsers)],
        check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "build/release/bin/cliplens")
    parser.add_argument("--worker", default=ROOT / "build/release/bin/cliplens_bench_analysis")
    parser.add_argument("--images", type=int, default=10_240)
    parser.add_argument("--toggles", type=int, default=20)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench.json")
    parser.add_argument("--browsers", type=int, default=0)
    parser.add_argument("--model", default="L/14")
    parser.add_argument("--folder", type=pathlib.Path, help="kept and used again")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        model, store = folder / "model", folder / "store"
        if not model.exists():
            inputs.write_model(model, inputs.model_config(args.model))
        if not store.exists():
            subprocess.run([args.worker, "explorer-store", model, str(args.images), store],
                           check=True, stdout=subprocess.DEVNULL)
        first = Server(args.program, store, folder)
        first.wait()
        first.stop()
        server = Server(args.program, store, folder)
        result = {"machine": machine(), "command": command_line(), "images": args.images,
                  "model": args.model, "opened": server.opened}
        result["page"] = server.ask("/")[0] + server.ask("/app.js")[0] + server.ask("/app.css")[0]
        result["sources"], _ = server.ask("/api/v1/sources")
        result["overview"], _ = server.ask("/api/v1/sources/s0/overview")
        result["items"], _ = server.ask("/api/v1/sources/s0/items")
        result["first"] = sum(result[k] for k in ("page", "sources", "overview", "items"))
        server.wait()
        result["memory_open"] = server.memory()
        if args.browsers:
            result |= paints(server, args.browsers)
        heads = [1000 * server.ask(f"/api/v1/sources/s0/heads/L{12 + i % 12}.H{i % 16}")[0]
                 for i in range(args.toggles)]
        result["heads"] = heads
        result["edits"] = edits(server, args.toggles, ranked=False)
        result["memory_edits"] = server.memory()
        result["edits_ranked"] = edits(server, args.toggles, ranked=True)
        result["memory_ranked"] = server.memory()
        server.stop()
        save(args.out, "explorer", result)
    print(f"open {result['opened']:.2f} s; first answers {1000 * result['first']:.0f} ms (overview "
          f"{1000 * result['overview']:.0f}, sources {1000 * result['sources']:.0f})")
    for name in ("heads", "edits", "edits_ranked", "first_paint", "grid"):
        if name in result:
            print(f"{name}: median {statistics.median(result[name]):.0f} ms, most "
                  f"{max(result[name]):.0f} ms")
    for name in ("memory_open", "memory_edits", "memory_ranked"):
        print(f"{name}: {result[name] / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
