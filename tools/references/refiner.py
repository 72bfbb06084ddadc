"""A small UNet with the conditions of SDXL's refiner: its outputs, and a picture that it draws.

usage: python tools/references/refiner.py test/fixtures/models/refiner.json
Needs torch, diffusers, numpy, scipy and safetensors. The weights are made by a formula (`values`), here and in
test/compiler/lib/refiner.ts alike, so that no file has to carry them. Texts, second text encoder and VAE are sdxl-tiny's.
"""
import base64
import json
import math
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from sampler_pictures import FIXTURES, SEED, SHAPE, Philox

STEPS, GUIDANCE, TEXT_WIDTH = 8, 2.0, 24
SCORES = {"positive": 6.0, "negative": 2.5}
CONFIG = {
    "_class_name": "UNet2DConditionModel", "act_fn": "silu", "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "attention_head_dim": [1, 1], "block_out_channels": [32, 64],
    "cross_attention_dim": TEXT_WIDTH, "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "layers_per_block": 1, "norm_eps": 1e-05,
    "norm_num_groups": 32, "out_channels": 4, "projection_class_embeddings_input_dim": TEXT_WIDTH + 5 * 256,
    "sample_size": 16, "transformer_layers_per_block": 2, "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": True,
}


def uniform(name, count):
    """Numbers in -1 .. 1 from the name alone: Numerical Recipes' generator, begun by Java's string hash."""
    state = 0
    for character in name:
        state = (state * 31 + ord(character)) % 2**32
    numbers = np.empty(count)
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        numbers[i] = state / 2**31 - 1
    return numbers


def values(name, shape):
    numbers = uniform(name, math.prod(shape))
    if len(shape) == 1:
        scaled = 1 + 0.15 * numbers if "norm" in name and name.endswith("weight") else 0.05 * numbers
    else:
        ends_branch = any(part in name for part in ("conv2", "to_out", "ff.net.2", "proj_out"))
        scaled = (0.5 if ends_branch else 1.5) / math.sqrt(math.prod(shape[1:])) * numbers
    return torch.from_numpy(scaled.astype(np.float32)).reshape(shape)


def encoded(tensor):
    return base64.b64encode(tensor.contiguous().numpy().tobytes()).decode()


class Refiner:
    def __init__(self):
        self.unet = UNet2DConditionModel.from_config(CONFIG).eval()
        self.shapes = {name: list(p.shape) for name, p in self.unet.named_parameters()}
        self.unet.load_state_dict({name: values(name, shape) for name, shape in self.shapes.items()})
        self.vae = AutoencoderKL.from_pretrained(FIXTURES / "sdxl-tiny/vae", torch_dtype=torch.float32)
        texts = load_file(FIXTURES / "references/sdxl-tiny-txt2img.safetensors")
        # The second encoder's share of the context.
        self.context = torch.cat([texts["cond"], texts["uncond"]])[..., -TEXT_WIDTH:].float()
        self.pooled = torch.cat([texts["cond_pooled"], texts["uncond_pooled"]]).float()
        betas = np.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2
        alphas = np.cumprod(1 - betas)
        self.log_sigmas = np.log(np.sqrt((1 - alphas) / alphas))

    def both(self, x, t, ids, unet=None):
        """The UNet under prompt and negative prompt."""
        unet = unet or self.unet
        dtype = next(unet.parameters()).dtype
        added = {"text_embeds": self.pooled.to(dtype), "time_ids": ids.to(dtype)}
        with torch.no_grad():
            times = torch.full((2,), float(t), dtype=dtype)
            return unet(torch.cat([x, x]).to(dtype), times, encoder_hidden_states=self.context.to(dtype), added_cond_kwargs=added).sample

    def case(self):
        x = torch.from_numpy(2 * uniform("sample", 4 * 16 * 16).astype(np.float32)).reshape(1, 4, 16, 16)
        ids = torch.tensor([[1024.0, 768.0, 16.0, 8.0, 6.0], [512.0, 640.0, 0.0, 0.0, 2.5]])
        single = self.both(x, 421.5, ids)
        double = self.both(x, 421.5, ids, self.unet.double())
        self.unet.float()
        rounding = float((single.double() - double).abs().max())
        tolerance = max(20 * rounding, 1e-5 * max(1.0, float(single.abs().max())))
        print(f"out: std {single.std():.3f}, rounding {rounding:.1e}")
        return {"timestep": 421.5, "time_ids": ids.tolist(), "text_embeds": encoded(self.pooled), "context": encoded(self.context),
                "out": encoded(single), "tolerance": tolerance}

    def picture(self):
        """Euler over evenly falling times, as A1111 does it, from Philox noise."""
        sigmas = [*(math.exp(np.interp(t, np.arange(1000), self.log_sigmas)) for t in np.linspace(999, 0, STEPS)), 0.0]
        height, width = (8 * side for side in SHAPE[1:])
        ids = torch.tensor([[height, width, 0.0, 0.0, SCORES[which]] for which in ("positive", "negative")])
        x = Philox(SEED).next() * sigmas[0]
        for sigma, sigma_next in zip(sigmas, sigmas[1:]):
            t = np.interp(math.log(sigma), self.log_sigmas, np.arange(1000))
            cond, uncond = self.both(x / math.sqrt(sigma * sigma + 1), t, ids).chunk(2)
            x = x + (uncond + GUIDANCE * (cond - uncond)) * (sigma_next - sigma)
        print(f"latents: std {x.std():.3f}")
        with torch.no_grad():
            pixels = self.vae.decode(x / self.vae.config.scaling_factor).sample[0]
        return ((pixels / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0)


def main(out):
    refiner = Refiner()
    fixture = {
        "config": CONFIG, "tensors": refiner.shapes, "case": refiner.case(),
        "picture": {"seed": SEED, "steps": STEPS, "guidance": GUIDANCE, "pixels": encoded(refiner.picture())},
    }
    with open(out, "w") as file:
        json.dump(fixture, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
