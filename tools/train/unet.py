"""Trains the UNet and the text encoder together on the latents: v-prediction over Stable Diffusion's noise schedule.

One process, one device. First single things at 512x512 (--kinds), then, with --start, everything that latents.py has made:
scenes and all sizes. The optimiser's rate falls to zero at the end of the time given. A checkpoint is written every few
minutes, and a run that is started again goes on from it.
"""
import argparse
import copy
import json
import math
import os
import random
import time

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import captions
import data
from muon import Muon

CONTEXT = 77
WIDTH = 192  # of the text encoder and of the UNet's context
# Shares of the kinds of picture within a size, and of the sizes (width, height) in the steps.
KINDS = {"plain": 0.16, "painted": 0.12, "ground": 0.09, "styled": 0.32, "mixed": 0.5, "pair": 0.18, "count": 0.12, "place": 0.05}
SIZES = {
    (512, 512): 0.7, (256, 256): 0.02, (768, 768): 0.04, (1024, 1024): 0.03, (768, 512): 0.12, (512, 768): 0.04, (1024, 512): 0.01,
    (512, 384): 0.01, (384, 512): 0.02, (640, 640): 0.01,
}
CELLS = 256  # latent cells of a picture of 512x512; a step of larger pictures has fewer of them
EMPTY = 0.11  # share of captions that ask for nothing, for classifier-free guidance


def create_models():
    """Untrained UNet (about 1.9 GFLOP a pass at 16x16) and text encoder."""
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=16, out_channels=16, block_out_channels=(128, 192, 192), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH, attention_head_dim=4, norm_num_groups=16,
    )
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=4096, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=CONTEXT, hidden_act="quick_gelu", bos_token_id=4094, eos_token_id=4095, pad_token_id=4095,
        projection_dim=WIDTH,
    ))
    return unet.to(memory_format=torch.channels_last), text


def alphas_cumulative():
    """Share of signal variance left after each of the 1000 steps: betas scaled_linear from 0.00085 to 0.012."""
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


class Batches:
    """Latents with fresh captions; all pictures of a step have one size."""

    def __init__(self, folder, tokenizer, kinds, seed):
        self.folder = os.path.join(folder, "latents")
        self.tokenizer, self.kinds, self.rng = tokenizer, kinds, random.Random(seed)
        self.things = data.read_names()
        self.files, self.sizes = set(), {}
        self.take_up()

    def take_up(self):
        """Loads the files of latents.py that have come since the last call."""
        for name in sorted(set(os.listdir(self.folder)) - self.files):
            if name.endswith(".npz") and not name.endswith(".tmp.npz"):
                self.files.add(name)
                _, kind, size = name[:-4].split("-")
                if kind in self.kinds:
                    saved = np.load(os.path.join(self.folder, name))
                    pool = self.sizes.setdefault(tuple(map(int, size.split("x"))), {}).setdefault(kind, ([], []))
                    pool[0].extend(saved["latents"])
                    pool[1].extend(json.loads(str(saved["facts"])))

    def draw(self, count):
        """Latents (n, 16, h, w) as float32 and their captions; n is `count` at 512x512 and such that n h w is much the same."""
        rng = self.rng
        size = rng.choices(list(self.sizes), [SIZES[size] for size in self.sizes])[0]
        kinds = self.sizes[size]
        count = min(2 * count, max(2, count * CELLS * data.CELL ** 2 // (size[0] * size[1])))
        picked, texts = [], []
        for kind in rng.choices(list(kinds), [KINDS[kind] for kind in kinds], k=count):
            latents, facts = kinds[kind]
            chosen = rng.randrange(len(facts))
            picked.append(latents[chosen])
            texts.append(captions.empty(rng) if rng.random() < EMPTY else captions.caption(self.things, facts[chosen], rng))
        return torch.from_numpy(np.stack(picked)).float(), texts

    def tokens(self, texts, length):
        """Token ids (n, length), cut or padded with the end token."""
        return self.tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder of latents/; the checkpoint goes there")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--minutes", type=float, required=True, help="whole time of the run, earlier starts included")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.006)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint", default="unet.pt")
    parser.add_argument("--start", help="checkpoint in the same folder whose averaged weights a new run begins with")
    parser.add_argument("--kinds", default=",".join(KINDS), help="the kinds of picture to learn from")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    unet, text = create_models()
    model = torch.nn.ModuleDict({"unet": unet, "text": text}).to(args.device)
    live = list(model.parameters())
    embeddings = list(text.embeddings.parameters() if hasattr(text, "embeddings") else text.text_model.embeddings.parameters())
    optimiser = Muon(live, args.rate, args.rate / 6, plain=[*embeddings, unet.conv_in.weight, unet.conv_out.weight], decay=0.1)
    average = copy.deepcopy(model)
    averages = list(average.parameters())
    path = os.path.join(args.out, args.checkpoint)
    step, spent = 0, 0.0
    if os.path.exists(path):
        state = torch.load(path, map_location=args.device)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    elif args.start:
        state = torch.load(os.path.join(args.out, args.start), map_location=args.device)
        for copied in (model, average):
            copied.load_state_dict(state["average"])
    batches = Batches(args.out, CLIPTokenizer.from_pretrained(args.tokenizer), args.kinds.split(","), step)
    signal = alphas_cumulative().to(args.device)
    start, saved, losses = time.time() - spent, time.time(), []

    def save():
        spent = time.time() - start
        torch.save({"model": model.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent}, path + ".tmp")
        os.replace(path + ".tmp", path)

    while (done := (time.time() - start) / (args.minutes * 60)) < 1:
        optimiser.set_factor(min(1, (step + 1) / 50) * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * done))))
        clean, texts = batches.draw(args.batch)
        clean = clean.to(args.device)
        count = len(clean)
        # Evenly spread times: one in each of `count` equal parts of the schedule.
        times = ((torch.randperm(count) + torch.rand(count)) / count * 1000).long().clamp(0, 999).to(args.device)
        a = signal[times][:, None, None, None]
        noise = torch.randn_like(clean)
        noisy = (a.sqrt() * clean + (1 - a).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        velocity = a.sqrt() * noise - (1 - a).sqrt() * clean
        # Padding costs time and teaches little until late: short contexts first, the whole length at the end.
        length = CONTEXT if done > 0.75 or batches.rng.random() < 0.15 else 24
        with torch.autocast(args.device, dtype=torch.bfloat16):
            context = text(batches.tokens(texts, length).to(args.device)).last_hidden_state
            predicted = unet(noisy, times, context).sample
        # Beyond a signal-to-noise ratio of 5 the error is the noise's own; weigh it down (min-SNR's upper half).
        ratio = a / (1 - a)
        loss = ((predicted.float() - velocity) ** 2 * (5 / ratio).clamp(max=1)).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(live, 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(averages, live, 1 - min(0.998, (1 + step) / (10 + step)))
        losses.append(loss.item())
        if step % 50 == 0:
            print(f"{step} {time.time() - start:.0f}s loss {np.mean(losses[-50:]):.4f} factor {optimiser.factor:.3f}", flush=True)
        if time.time() - saved > 180:
            saved = time.time()
            save()
            batches.take_up()
    save()


if __name__ == "__main__":
    main()
