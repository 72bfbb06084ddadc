"""Trains the UNet and the text encoder together on the latents: v-prediction over Stable Diffusion's noise schedule.

One process, one device; on a CPU use one thread. The optimiser's rate falls to zero at the end of the time given. A
checkpoint is written every few minutes, and a run that is started again goes on from it.
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
GROUPS = {"plain": 0.66, "moved": 0.04, "painted": 0.22, "ground": 0.08}  # shares of the kinds of picture
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
    """Latents with fresh captions; now and then a batch of another size, so that the model draws at those sizes too."""

    def __init__(self, folder, tokenizer, seed):
        saved = np.load(os.path.join(folder, "latents.npz"))
        self.latents, self.small, self.white = saved["latents"], saved["small"], saved["white"]
        self.facts = json.loads(str(saved["facts"]))
        self.things = data.read_names()
        self.tokenizer, self.rng = tokenizer, random.Random(seed)
        self.groups = {name: [i for i, fact in enumerate(self.facts) if fact["group"] == name] for name in GROUPS}
        self.first = {fact["thing"]: row for row, fact in enumerate(self.facts) if fact["group"] == "plain"}
        self.own = {fact["thing"]: fact["colour"] for fact in self.facts if fact["group"] == "plain"}

    def draw(self, count):
        """Latents (count, 16, h, w) as float32 and their captions."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.93:
            names = rng.choices(list(GROUPS), list(GROUPS.values()), k=count)
            chosen = [rng.choice(self.groups[name]) for name in names]
            picked = self.latents[chosen]
            facts = [self.facts[i] for i in chosen]
        else:
            chosen = rng.choices(range(len(self.things)), k=count if kind < 0.965 else count // 2)
            facts = [{"thing": i, "colour": self.own[i], "painted": False, "ground": None} for i in chosen]
            picked = self.small[chosen] if kind < 0.965 else self.on_canvas(chosen, rng.randrange(3))
        texts = [
            captions.empty(rng) if rng.random() < EMPTY
            else captions.caption(self.things[f["thing"]], f["colour"], f["painted"], f["ground"], rng)
            for f in facts
        ]
        return torch.from_numpy(picked).float(), texts

    def on_canvas(self, chosen, shape):
        """Flat icons in the middle of a white canvas of 768x768 (shape 0), 768x512 or 512x768."""
        first = [self.first[thing] for thing in chosen]
        picked = np.repeat(self.white[None], len(chosen), 0)
        picked[:, :, 4:20, 4:20] = self.latents[first]
        return picked if shape == 0 else picked[:, :, 4:20, :] if shape == 1 else picked[:, :, :, 4:20]

    def tokens(self, texts, length):
        """Token ids (n, length), cut or padded with the end token."""
        return self.tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder of latents.npz; the checkpoint unet.pt goes there")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--minutes", type=float, required=True, help="whole time of the run, earlier starts included")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.006)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint", default="unet.pt")
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
    batches = Batches(args.out, CLIPTokenizer.from_pretrained(args.tokenizer), step)
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
    save()


if __name__ == "__main__":
    main()
