"""Exports what `npm run bench -- compiler dispatches` compares Easel's graphs with: the tiny checkpoints of the tests and a
UNet of Stable Diffusion 1.5's widths, as most ONNX models for browsers were made (PyTorch's exporter, opset 17, dynamic
axes). Writes OUT_DIR/MODEL/COMPONENT/model.onnx, the wide UNet's weights beside it (OUT_DIR/sd15-wide/model), and how
many nodes each graph has, constants left out, into COUNTS_JSON.

usage: python tools/bench/export_onnx.py OUT_DIR tools/bench/exported.json   (torch, diffusers, transformers, onnx)
"""

import json
import shutil
import sys
from pathlib import Path

import onnx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

MODELS = Path(__file__).resolve().parents[2] / "test/fixtures/models"
TINY = ["sd15-tiny", "sd2-tiny", "sdxl-tiny"]


class Call(torch.nn.Module):
    """A module whose forward is `call(module, inputs…)`."""

    def __init__(self, module, call):
        super().__init__()
        self.module, self.call = module, call

    def forward(self, *inputs):
        return self.call(self.module, *inputs)


def unet_job(unet):
    """The module, its inputs by name, and which axes are dynamic."""
    side, width = unet.config.sample_size, unet.config.cross_attention_dim
    inputs = {
        "sample": torch.randn(2, unet.config.in_channels, side, side),
        "timestep": torch.tensor([1], dtype=torch.int64),
        "encoder_hidden_states": torch.randn(2, 77, width),
    }
    axes = {"sample": {0: "batch", 2: "height", 3: "width"}, "encoder_hidden_states": {0: "batch", 1: "sequence"}}
    if unet.config.addition_embed_type != "text_time":
        return Call(unet, lambda m, x, t, c: m(x, t, c, return_dict=False)[0]), inputs, axes
    pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
    inputs |= {"text_embeds": torch.randn(2, pooled), "time_ids": torch.randn(2, 6)}
    axes |= {"text_embeds": {0: "batch"}, "time_ids": {0: "batch"}}

    def call(m, x, t, c, text, ids):
        return m(x, t, c, added_cond_kwargs={"text_embeds": text, "time_ids": ids}, return_dict=False)[0]

    return Call(unet, call), inputs, axes


def tiny_jobs(folder):
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval()
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval()
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32).eval()
    side = unet.config.sample_size
    return {
        "text_encoder": (
            Call(text, lambda m, ids: m(ids).last_hidden_state),
            {"input_ids": torch.zeros(2, 77, dtype=torch.int64)},
            {"input_ids": {0: "batch"}},
        ),
        "unet": unet_job(unet),
        "vae_decoder": (
            Call(vae, lambda m, x: m.decode(x, return_dict=False)[0]),
            {"latent_sample": torch.randn(1, vae.config.latent_channels, side, side)},
            {"latent_sample": {0: "batch", 2: "height", 3: "width"}},
        ),
    }


def wide_unet():
    """Stable Diffusion 1.5's widths, heads and blocks at its two uppermost levels, one layer a level."""
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(320, 640),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=768,
        attention_head_dim=8,
    ).eval()


def export(out, jobs):
    counts = {}
    for name, (module, inputs, axes) in jobs.items():
        path = out / name / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            torch.onnx.export(
                module, tuple(inputs.values()), str(path), input_names=list(inputs),
                output_names=["output"], dynamic_axes=axes, opset_version=17, dynamo=False,
            )
        counts[name] = sum(node.op_type != "Constant" for node in onnx.load(path).graph.node)
    return counts


def main():
    out, counts_path = Path(sys.argv[1]), Path(sys.argv[2])
    nodes = {name: export(out / name, tiny_jobs(MODELS / name)) for name in TINY}
    unet = wide_unet()
    folder = out / "sd15-wide/model"
    shutil.copytree(MODELS / "sd15-tiny", folder, dirs_exist_ok=True)
    unet.half().save_pretrained(folder / "unet")
    text = CLIPTextConfig(hidden_size=768, intermediate_size=64, num_hidden_layers=1, num_attention_heads=12, eos_token_id=49407)
    CLIPTextModel(text).half().save_pretrained(folder / "text_encoder")
    nodes["sd15-wide"] = export(out / "sd15-wide", {"unet": unet_job(unet.float())})
    known = json.loads(counts_path.read_text()) if counts_path.exists() else {}
    known |= {"torch": torch.__version__, "nodes": nodes}
    counts_path.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
