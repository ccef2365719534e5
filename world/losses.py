"""What the model of the picture world is trained to answer.

All losses work on unit embeddings and share one logit scale, as in CLIP (arXiv 2103.00020).
"""
import torch
import torch.nn.functional as F

from world.data import COLUMN, NAMES, PLACED, true_captions

FACTOR_WEIGHTS = {"object": 2.5, "category": 0.5, "style": 0.7, "background": 0.4,
                  "position": 0.35, "size": 0.4, "count": 0.5, "effect": 0.6}


def soft_cross_entropy(logits, targets):
    return -(targets * logits.log_softmax(-1)).sum(-1).mean()


def caption_loss(images, captions, scale, batch):
    """Contrastive loss in which every caption true of a picture is a positive."""
    true = true_captions(batch).float()
    logits = scale * images @ captions.T
    return 0.5 * (soft_cross_entropy(logits, true / true.sum(1, keepdim=True))
                  + soft_cross_entropy(logits.T, true.T / true.T.sum(1, keepdim=True)))


def sigmoid_loss(images, captions, scale, bias, batch):
    """Every pair for itself: is the caption true of the picture? ("Sigmoid Loss for Language Image
    Pre-Training", arXiv 2303.15343, section 3.2.) A sum over captions, a mean over pictures."""
    true = true_captions(batch).float()
    logits = scale * images @ captions.T + bias
    return F.binary_cross_entropy_with_logits(logits, true, reduction="sum") / len(images)


def factor_targets(batch, name, count):
    """Target distribution [B, values] of a factor and which pictures it applies to [B].

    A picture of two objects counts half for each; where one thing is, how large it is and how
    often it stands there is asked only of pictures with a single kind of object.
    """
    values = batch.factors[:, COLUMN[name]]
    applies = values >= 0
    if name in PLACED:
        applies = applies & (batch.second < 0)
    target = torch.zeros(len(values), count, device=values.device)
    target.scatter_(1, values.clamp(min=0)[:, None], 1.0)
    if name == "object":
        two = batch.second >= 0
        target[two] *= 0.5
        target[two] += 0.5 * F.one_hot(batch.second[two], count)
    return target, applies


def factor_loss(images, texts, scale, batch, name):
    """Cross-entropy of the pictures against one factor's prompts; (loss, share answered right)."""
    target, applies = factor_targets(batch, name, len(texts))
    if not bool(applies.any()):
        return images.sum() * 0, float("nan")
    logits = scale * images[applies] @ texts.T
    target = target[applies]
    right = target.gather(1, logits.detach().argmax(1, keepdim=True)).gt(0).float().mean()
    return soft_cross_entropy(logits, target), float(right)


def token_loss(tokens, texts, scale, labels):
    """Patch tokens on an object must answer its name. tokens [B, N, E], labels [B, N]."""
    on = labels >= 0
    if not bool(on.any()):
        return tokens.sum() * 0
    return F.cross_entropy(scale * tokens[on] @ texts.T, labels[on])


def template_loss(first, second, scale):
    """Two sentences of one value must be closer than sentences of other values.

    Without it the text tower collapses: all names share most of their direction.
    """
    logits = scale * first @ second.T
    target = torch.arange(len(first), device=first.device)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))


def all_factors(images, prompts, texts, scale, batch, weights):
    """Weighted sum of the factor losses and each factor's share answered right."""
    total, right = 0.0, {}
    for name in NAMES:
        a, b = prompts.spans[name]
        loss, right[name] = factor_loss(images, texts[a:b], scale, batch, name)
        total = total + weights.get(name, 0.0) * loss
    return total, right
