"""How often the bounds of debiased CKA hold the truth, and how far plain CKA is off (docs/compare.md).

    python bench/cka_bounds.py        about a minute on one core

Pictures are drawn from a distribution whose CKA is known from 60,000 of them. Each line is 300 sets
of n pictures: the mean figures, and the share of sets whose bounds by the jackknife hold the truth,
on the figure's own scale and on Fisher's.
"""

import numpy as np

DRAWS, WIDTH = 300, 35
STUDENT = {7: 2.3646, 9: 2.2622, 19: 2.0930, 39: 2.0227, 79: 1.9905}  # 97.5 %, by n - 1


def hsic(x, y):
    k, m = x @ x.T, y @ y.T
    n = len(k)
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    return ((k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2)) -
            2 / (n - 2) * k.sum(0) @ m.sum(0))


def debiased(x, y):
    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


def plain(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(x.T @ y) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


def measure(random, n, noise, decay):
    scale = 1 / np.arange(1, WIDTH + 1) ** decay
    turn = np.linalg.qr(random.standard_normal((WIDTH, WIDTH)))[0]

    def draw(count):
        groups = random.integers(0, 5, (count, 1)) == np.arange(WIDTH) % 5
        x = random.standard_normal((count, WIDTH)) * scale + 3 * scale * groups
        return x, x @ turn + noise * random.standard_normal((count, WIDTH)) * scale

    truth = plain(*draw(60_000))
    values, plains, held = [], [], np.zeros(2)
    for _ in range(DRAWS):
        x, y = draw(n)
        value = debiased(x, y)
        values.append(value)
        plains.append(plain(x, y))
        without = np.array([debiased(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(n)])
        for i, scaled in enumerate((lambda r: r, np.arctanh)):
            error = np.sqrt((n - 1) * scaled(without).var())
            held[i] += abs(scaled(value) - scaled(truth)) <= STUDENT[n - 1] * error
    print(f"{n:3} pictures, noise {noise:3}, decay {decay:3}: CKA {truth:.3f}, debiased "
          f"{np.mean(values):.3f}, plain {np.mean(plains):.3f}; bounds hold {held[0] / DRAWS:.2f}, "
          f"Fisher's {held[1] / DRAWS:.2f}", flush=True)


if __name__ == "__main__":
    generator = np.random.default_rng(1)
    for pictures in sorted(n + 1 for n in STUDENT):
        for level in (0.1, 0.5, 2):
            for power in (0.5, 1.0):
                measure(generator, pictures, level, power)
