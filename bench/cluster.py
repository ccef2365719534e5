"""What cliplens.ray promises, measured: two workers beside one process with two threads, and the driver's memory.

    python bench/cluster.py [--pictures 24000] [--rounds 2]

Run with the Python of an environment that has the package and Ray. Ray runs on this machine alone.
"""

import argparse
import io
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

DRIVER = """
import resource, sys
import cliplens.ray
cliplens.ray.decompose(sys.argv[1], sys.argv[2], sys.argv[3], shard_images=256, workers=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def shards(folder, count, source):
    """`count` pictures as they ship, over and over, in shards of 1,000."""
    pictures = []
    for path in sorted(source.glob("*.tar")):
        with tarfile.open(path) as tar:
            pictures += [tar.extractfile(m).read() for m in tar if m.name.endswith(".png") and "mask" not in m.name]
    folder.mkdir()
    for begin in range(0, count, 1000):
        with tarfile.open(folder / f"{begin:08d}.tar", "w") as tar:
            for i in range(begin, min(begin + 1000, count)):
                content = pictures[i % len(pictures)]
                member = tarfile.TarInfo(f"{i:08d}.png")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return folder


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=24_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # this machine alone
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    import cliplens as cl
    import cliplens.ray

    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        pictures = shards(folder / "pictures", options.pictures, cl.shipped("world/sets/test"))
        few = shards(folder / "few", options.pictures // 8, cl.shipped("world/sets/test"))
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1",
                 logging_level="WARNING")
        model = cl.load("pictureworld", pictures_alone=True)
        ratios = []
        for i in range(options.rounds):
            one = timed(lambda i=i: model.decompose(pictures, folder / f"one-{i}", threads=2, shard_images=256))
            two = timed(lambda i=i: cliplens.ray.decompose("pictureworld", pictures, folder / f"ray-{i}", workers=2,
                                                           shard_images=256))
            ratios.append(one / two)
            print(f"round {i + 1}: one process {options.pictures / one:.0f} pictures/s, two workers "
                  f"{options.pictures / two:.0f}: {one / two:.2f}", flush=True)
        print(f"two workers on two cores: {statistics.median(ratios):.2f} x one process with two threads, their start "
              "included (0.90 asked)")
        address = ray.get_runtime_context().gcs_address
        sizes = {}
        for name, images in (("few", few), ("many", pictures)):
            done = subprocess.run([sys.executable, "-c", DRIVER, "pictureworld", str(images), str(folder / name) + "-out"],
                                  env={**os.environ, "RAY_ADDRESS": address}, capture_output=True, text=True, check=True)
            sizes[name] = int(done.stdout.split()[-1]) / 1024
        print(f"the driver's memory at most: {sizes['few']:.0f} MiB with {options.pictures // 8} pictures, "
              f"{sizes['many']:.0f} MiB with {options.pictures}: {sizes['many'] / sizes['few']:.2f} x")
        ray.shutdown()


if __name__ == "__main__":
    main()
