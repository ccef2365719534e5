"""Grad-CAM and LeGrad on an open_clip image tower, by PyTorch's derivatives.

Both explain the score that the program's maps split, <e, w_c - mean w>, so that all methods of the
table answer one question.
"""

import torch


def forward(visual, pixels):
    """Embeddings [B, E] before they are made unit, attention of each block [B, H, N, N] and what
    each block puts out [B, N, D], all with derivatives."""
    x = visual.conv1(pixels).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], 1)
    x = visual.ln_pre(x + visual.positional_embedding)
    attentions, outputs = [], []
    for block in visual.transformer.resblocks:
        heads = block.attn.num_heads
        normed = block.ln_1(x)
        qkv = torch.nn.functional.linear(normed, block.attn.in_proj_weight, block.attn.in_proj_bias)
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, -1))
        attention = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        if not attention.requires_grad:
            attention.requires_grad_()
        x = x + block.attn.out_proj((attention @ v).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.ln_2(x))
        attentions.append(attention)
        outputs.append(x)
    return visual.ln_post(x[:, 0]) @ visual.proj, attentions, outputs


def score(embeddings, directions):
    return (torch.nn.functional.normalize(embeddings, dim=-1) * directions).sum()


def grad_cam(visual, pixels, directions):
    """The class token's attention of the last block, each head weighted with the mean derivative
    of the score by its attention to the patches ("Grad-CAM", arXiv 1610.02391, with a head of
    attention for a channel, as "Transformer Interpretability Beyond Attention Visualization",
    arXiv 2012.09838, compares it). [B, g*g]"""
    embeddings, attentions, _ = forward(visual, pixels)
    (by,) = torch.autograd.grad(score(embeddings, directions), [attentions[-1]])
    weight = by[:, :, 0, 1:].mean(-1, keepdim=True)
    return (weight * attentions[-1][:, :, 0, 1:]).mean(1).clamp(min=0).detach()


def le_grad(visual, pixels, directions):
    """"LeGrad" (arXiv 2404.03214): positive derivatives of each block's own score (the mean of its
    tokens, projected) by its attention, mean over heads and queries, summed over blocks. [B, g*g]"""
    _, attentions, outputs = forward(visual, pixels)
    total = 0
    for attention, out in zip(attentions, outputs):
        embeddings = visual.ln_post(out.mean(1)) @ visual.proj
        (by,) = torch.autograd.grad(score(embeddings, directions), [attention],
                                    retain_graph=True)
        total = total + by.clamp(min=0).mean((1, 2))[:, 1:]
    # As its code does it, each picture's map is scaled to 0...1.
    low, high = total.amin(1, keepdim=True), total.amax(1, keepdim=True)
    return ((total - low) / (high - low).clamp(min=1e-12)).detach()
