"""Low-rank changes (LoRA, arXiv:2106.09685) of a UNet's convolutions and linear layers, and the file that holds them."""
import os

import torch
import torch.nn.functional as F
from safetensors.torch import save_file


class Changed(torch.nn.Module):
    """A frozen layer plus up(down(x)); `down` has the layer's own kernel, `up` is 1x1. Begins as the layer itself."""

    def __init__(self, layer, rank):
        super().__init__()
        self.layer = layer
        weight = layer.weight
        self.down = torch.nn.Parameter(torch.empty(rank, *weight.shape[1:]).normal_(std=weight[0].numel() ** -0.5))
        self.up = torch.nn.Parameter(torch.zeros(weight.shape[0], rank, *[1] * (weight.ndim - 2)))

    def forward(self, x):
        if isinstance(self.layer, torch.nn.Conv2d):
            inner = F.conv2d(x, self.down, None, self.layer.stride, self.layer.padding)
            return self.layer(x) + F.conv2d(inner, self.up)
        return self.layer(x) + F.linear(F.linear(x, self.down), self.up)


def add_lora(unet, rank):
    """Freezes the UNet and puts a change beside every layer of its resnets and transformers; returns them by path."""
    unet.requires_grad_(False)
    found = [
        (path, layer) for path, layer in unet.named_modules()
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)) and (".resnets." in path or ".attentions." in path)
    ]
    changes = {}
    for path, layer in found:
        parent, _, name = path.rpartition(".")
        changes[path] = Changed(layer, min(rank, *layer.weight.shape[:2]))
        setattr(unet.get_submodule(parent), name, changes[path])
    return changes


def cut(down, up, rank):
    """The best factors of `rank` or fewer of the change up(down(x)), by its singular values: (down, up) to the same."""
    left, values, right = torch.linalg.svd(up.flatten(1).float() @ down.flatten(1).float(), full_matrices=False)
    rank = min(rank, down.shape[0])
    share = values[:rank].sqrt()
    return (share[:, None] * right[:rank]).reshape(rank, *down.shape[1:]), (left[:, :rank] * share).reshape(up.shape[0], rank, *up.shape[2:])


def save_lora(changes, path, metadata, rank):
    """Writes fp16 safetensors of `rank` under kohya's names, alpha equal to the rank, so that strength 1 is the change as trained."""
    tensors = {}
    for module, change in changes.items():
        name = "lora_unet_" + module.replace(".", "_")
        down, up = cut(change.down.detach(), change.up.detach(), rank)
        tensors[f"{name}.lora_down.weight"] = down.half().cpu().contiguous()
        tensors[f"{name}.lora_up.weight"] = up.half().cpu().contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(float(down.shape[0])).half()
    save_file(tensors, path, metadata)
    os.chmod(path, 0o644)  # safetensors makes files that only their owner may read
