"""Planted head roles: each attention head is made to carry one factor of the world.

In the spirit of InterpBench (arXiv 2407.14494), where circuits are trained into language models so that
explanations can be checked against a known truth. A head's contribution to the image embedding is
computed in the forward pass; the loss asks for it to vary with its own factor alone:

  * the summed contributions of a factor's heads answer that factor's prompts (cross-entropy);
  * the between-group share of a head's variance is raised for its factor and lowered for others.

Group means come from running tables that exclude the current batch, so ⟨c − mean, table[v]⟩
averages to the between-group variance without the bias of small groups.
"""
import json

import torch

from world.data import COLUMN
from world.evaluate import HEAD_FACTORS
from world.losses import factor_targets, soft_cross_entropy


def assign(rows, quota, earliest):
    """Gives every head a factor: {factor: [flat head numbers]}.

    rows: `evaluate.head_table` of the starting model; quota: heads wanted for each factor, the
    factors that are hardest to place first; earliest: first layer in which a factor may be planted
    (how large or how many something is cannot be read before objects are found). Each factor
    takes the free heads whose shares favour it most over the others.
    """
    free = set(range(len(rows)))
    out = {}
    for name in quota:
        def gain(i):
            shares = rows[i]["shares"]
            return shares[name] - 0.5 * max(v for k, v in shares.items() if k != name)
        fit = [i for i in sorted(free)
               if int(rows[i]["head"][1:].split(".")[0]) >= earliest.get(name, 0)]
        chosen = sorted(fit, key=lambda i: -gain(i))[:quota[name]]
        out[name] = sorted(chosen)
        free -= set(chosen)
    return out


class RoleLoss:
    """Running group means of all heads and the loss on their contributions.

    heads: number of heads; width: embedding width; sizes: {factor: number of values}. The tables
    live on `device`.
    """

    def __init__(self, roles, heads, width, sizes, decay=0.985, device="cpu"):
        self.decay = decay
        self.members = {name: torch.tensor(m).to(device) for name, m in roles.items() if m}
        own = torch.full((heads,), -1, device=device)
        for name, members in self.members.items():
            own[members] = HEAD_FACTORS.index(name)
        # Heads with a role, and where their own shares lie in a table [factors, planted].
        self.planted = (own >= 0).nonzero()[:, 0]
        self.places = (own[self.planted], torch.arange(len(self.planted), device=device))
        self.starts, total = {}, 0
        for name in HEAD_FACTORS:
            self.starts[name] = total
            total += sizes[name]
        self.sums = torch.zeros(total, heads, width, device=device)
        self.weights = torch.zeros(total, device=device)
        self.mean_sum, self.mean_weight = torch.zeros(heads, width, device=device), 0.0
        self.smooth = None

    def state(self):
        return {"sums": self.sums, "weights": self.weights, "mean_sum": self.mean_sum,
                "mean_weight": self.mean_weight}

    def load(self, saved):
        for name in ("sums", "weights", "mean_sum"):
            getattr(self, name).copy_(saved[name])
        self.mean_weight = saved["mean_weight"]

    def rows(self, batch, keep):
        return torch.stack([self.starts[n] + batch.factors[keep, COLUMN[n]]
                            for n in HEAD_FACTORS])

    def shares(self, heads, rows):
        """Estimated share of each head's variance by factor [factors, heads], differentiable."""
        mean = self.mean_sum / max(self.mean_weight, 1e-6)
        centred = heads - mean
        variance = centred.pow(2).sum(-1).mean(0) + 1e-8
        out = []
        for row in rows:
            table = self.sums[row] / self.weights[row].clamp(min=1e-6)[:, None, None] - mean
            known = (self.weights[row] > 1.0)[:, None]
            # The table is a constant, so the gradient of a square needs the factor two.
            value = (centred * table).sum(-1) * known
            out.append((2 * value - value.detach()).mean(0) / variance)
        return torch.stack(out)

    @torch.no_grad()
    def update(self, heads, rows):
        self.sums *= self.decay
        self.weights *= self.decay
        for row in rows:
            self.sums.index_add_(0, row, heads)
            self.weights.index_add_(0, row, torch.ones_like(row, dtype=torch.float32))
        self.mean_sum = self.mean_sum * self.decay + heads.sum(0)
        self.mean_weight = self.mean_weight * self.decay + len(heads)

    def __call__(self, heads, batch):
        """heads [B, L·H, E] → (loss of the shares, shares [factors, heads]).

        Only pictures of one kind of object count, as in the truth that is checked afterwards.
        """
        keep = batch.second < 0
        chosen = heads[keep]
        rows = self.rows(batch, keep)
        shares = self.shares(chosen, rows)
        self.update(chosen.detach(), rows)
        own, others = self.split(shares)
        floor = own.detach().clamp(min=0.05)
        raise_own = -(own.clamp(min=0.03)).log().mean()
        lower_others = (others / floor).clamp(min=0.0).sum(0).mean()
        return raise_own, lower_others, shares.detach()

    def split(self, shares):
        """Planted heads' own shares [planted] and the others [factors, planted], own made zero."""
        others = shares[:, self.planted]
        own = others[self.places]
        others[self.places] = 0.0
        return own, others

    def clear(self, shares):
        """Running share of heads whose own share is at least twice every other (smoothed)."""
        self.smooth = shares if self.smooth is None else 0.98 * self.smooth + 0.02 * shares
        own, others = self.split(self.smooth)
        return float((own >= 2 * others.amax(0)).float().mean())

    def answers(self, heads, texts, prompts, scale, batch, weights):
        """Cross-entropy of each factor's heads, summed, on that factor's prompts."""
        total = 0.0
        for name, members in self.members.items():
            a, b = prompts.spans[name]
            target, applies = factor_targets(batch, name, b - a)
            logits = scale * heads[applies][:, members].sum(1) @ texts[a:b].T
            total = total + weights[name] * soft_cross_entropy(logits, target[applies])
        return total


def write_roles(path, roles, heads_per_layer):
    """The planted truth as JSON: {"format", "roles": {"L0.H0": factor, …}}."""
    from world.model import write_text
    named = {f"L{i // heads_per_layer}.H{i % heads_per_layer}": name
             for name, members in roles.items() for i in members}
    ordered = dict(sorted(named.items()))
    write_text(path, json.dumps({"format": "world.roles/1", "roles": ordered}, indent=1) + "\n")


def agreement(planted, rows):
    """How many heads have their planted factor first, and how many of those are clear."""
    same = [r for r in rows if planted.get(r["head"]) == r["first"]]
    return len(same), sum(r["clear"] for r in same)
