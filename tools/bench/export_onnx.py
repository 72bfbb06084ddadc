"""Exports a diffusers folder the way most ONNX models for browsers were made (PyTorch's exporter, opset 17,
dynamic axes) and writes how many nodes each graph has, constants left out.

usage: python tools/bench/export_onnx.py MODEL_DIR OUT_DIR COUNTS_JSON   (torch, diffusers, transformers, onnx)
"""

import json
import sys
from pathlib import Path

import onnx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel


class Call(torch.nn.Module):
    """A module whose forward is `call(module, inputs…)`."""

    def __init__(self, module, call):
        super().__init__()
        self.module, self.call = module, call

    def forward(self, *inputs):
        return self.call(self.module, *inputs)


def main():
    model, out, counts_path = sys.argv[1:4]
    unet = UNet2DConditionModel.from_pretrained(f"{model}/unet", torch_dtype=torch.float32).eval()
    vae = AutoencoderKL.from_pretrained(f"{model}/vae", torch_dtype=torch.float32).eval()
    text = CLIPTextModel.from_pretrained(f"{model}/text_encoder", torch_dtype=torch.float32).eval()
    side, latents = unet.config.sample_size, unet.config.in_channels
    context = torch.randn(2, 77, unet.config.cross_attention_dim)
    picture = {0: "batch", 2: "height", 3: "width"}
    jobs = {
        "text_encoder": (
            Call(text, lambda m, ids: m(ids).last_hidden_state),
            {"input_ids": torch.zeros(2, 77, dtype=torch.int64)},
            {"input_ids": {0: "batch"}},
        ),
        "unet": (
            Call(unet, lambda m, x, t, c: m(x, t, c, return_dict=False)[0]),
            {
                "sample": torch.randn(2, latents, side, side),
                "timestep": torch.tensor([1], dtype=torch.int64),
                "encoder_hidden_states": context,
            },
            {"sample": picture, "encoder_hidden_states": {0: "batch", 1: "sequence"}},
        ),
        "vae_decoder": (
            Call(vae, lambda m, x: m.decode(x, return_dict=False)[0]),
            {"latent_sample": torch.randn(1, vae.config.latent_channels, side, side)},
            {"latent_sample": picture},
        ),
    }
    counts = {}
    for name, (module, inputs, axes) in jobs.items():
        path = Path(out, name, "model.onnx")
        path.parent.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            torch.onnx.export(
                module, tuple(inputs.values()), str(path), input_names=list(inputs),
                output_names=["output"], dynamic_axes=axes, opset_version=17, dynamo=False,
            )
        nodes = onnx.load(path).graph.node
        counts[name] = sum(node.op_type != "Constant" for node in nodes)
    command = "python tools/bench/export_onnx.py test/fixtures/models/sd15-tiny OUT_DIR tools/bench/exported-nodes.json"
    Path(counts_path).write_text(json.dumps({"command": command, "torch": torch.__version__, "nodes": counts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
