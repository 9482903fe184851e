"""Writes train_step.json: three steps of training by torch, in float64.

    pip install torch==2.13.0 numpy && python tests/golden/make_train_step.py

Embedding, two LSTM layers, softmax; truncated BPTT over three windows with a lane
that starts anew, padding, and clipping by the global norm. The case is made of
sines, so that it needs no random numbers. Of each leaf the file keeps its norm and
its product with cosines.
"""

import json
import pathlib

import numpy as np

T, B, V, D, H, STEPS = 6, 3, 7, 4, 5, 3
CLIP, RATE = 0.3, 0.5
SHAPES = {
    "embedding": (V, D),
    "layers.0.b": (4 * H,),
    "layers.0.w_h": (H, 4 * H),
    "layers.0.w_x": (D, 4 * H),
    "layers.1.b": (4 * H,),
    "layers.1.w_h": (H, 4 * H),
    "layers.1.w_x": (H, 4 * H),
    "softmax.b": (V,),
    "softmax.w": (H, V),
}


def case():
    """(parameters by name, [(inputs_TB, targets_TB, mask_TB, fresh_B), …])."""
    params = {
        name: 0.6 * np.sin(1 + n + 1.7 * np.arange(np.prod(shape))).reshape(shape)
        for n, (name, shape) in enumerate(SHAPES.items())
    }
    text = np.arange(STEPS * T * B + 1) ** 2 % 11 % V
    windows = []
    for step in range(STEPS):
        at = step * T * B + np.arange(T * B).reshape(T, B)
        mask = np.ones((T, B))
        mask[4:, step] = 0
        fresh = np.arange(B) == 1 if step else np.ones(B, bool)
        windows.append((text[at], text[at + 1], mask, fresh))
    return params, windows


def digest(value: np.ndarray) -> list[float]:
    """[norm, product with cosines]."""
    flat = np.asarray(value, float).ravel()
    return [float(np.linalg.norm(flat)), float(flat @ np.cos(np.arange(flat.size)))]


def by_torch(make_optimizer) -> dict:
    import torch
    from torch import nn

    torch.set_default_dtype(torch.float64)
    arrays, windows = case()
    net, p = nn.LSTM(D, H, 2), {k: torch.tensor(v) for k, v in arrays.items()}
    for layer in (0, 1):
        getattr(net, f"weight_ih_l{layer}").data = p[f"layers.{layer}.w_x"].T.clone()
        getattr(net, f"weight_hh_l{layer}").data = p[f"layers.{layer}.w_h"].T.clone()
        getattr(net, f"bias_ih_l{layer}").data = p[f"layers.{layer}.b"].clone()
        bias = getattr(net, f"bias_hh_l{layer}")
        bias.data, bias.requires_grad = torch.zeros(4 * H), False
    embedding, softmax = nn.Embedding(V, D), nn.Linear(H, V)
    embedding.weight.data = p["embedding"].clone()
    softmax.weight.data, softmax.bias.data = p["softmax.w"].T.clone(), p["softmax.b"]
    trained = [*embedding.parameters(), *net.parameters(), *softmax.parameters()]
    trained = [leaf for leaf in trained if leaf.requires_grad]
    optimizer = make_optimizer(torch.optim, trained)
    carry, all_nats, norms = (torch.zeros(2, B, H),) * 2, [], []
    for inputs, targets, mask, fresh in windows:
        keep = torch.tensor(1.0 - fresh)[None, :, None]
        carry = tuple(keep * c.detach() for c in carry)
        hs, carry = net(embedding(torch.tensor(inputs)), carry)
        nats = nn.functional.cross_entropy(
            softmax(hs).reshape(-1, V), torch.tensor(targets).ravel(), reduction="none"
        )
        total = (nats * torch.tensor(mask).ravel()).sum()
        optimizer.zero_grad()
        (total / mask.sum()).backward()
        norm = sum((leaf.grad**2).sum() for leaf in trained) ** 0.5
        for leaf in trained:
            leaf.grad *= min(1.0, CLIP / norm)
        optimizer.step()
        all_nats.append(total.item())
        norms.append(norm.item())
    after = {
        "embedding": embedding.weight,
        "softmax.b": softmax.bias,
        "softmax.w": softmax.weight.T,
    }
    for layer in (0, 1):
        after[f"layers.{layer}.b"] = getattr(net, f"bias_ih_l{layer}")
        after[f"layers.{layer}.w_h"] = getattr(net, f"weight_hh_l{layer}").T
        after[f"layers.{layer}.w_x"] = getattr(net, f"weight_ih_l{layer}").T
    return {
        "nats": all_nats,
        "gradient_norm": norms,
        "params": {k: digest(after[k].detach().numpy()) for k in SHAPES},
        "h": digest(carry[0].detach().numpy()),
    }


OPTIMIZERS = {
    "sgd": lambda o, p: o.SGD(p, RATE),
    "adamw": lambda o, p: o.AdamW(p, RATE, (0.9, 0.999), 1e-8, weight_decay=0.1),
}

if __name__ == "__main__":
    golden = {name: by_torch(make) for name, make in OPTIMIZERS.items()}
    path = pathlib.Path(__file__).with_name("train_step.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")
