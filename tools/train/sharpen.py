"""Trains the autoencoder's decoder further against a judge of small patches, so that edges come out crisp and areas plain.

The encoder stays, so latents that are made remain valid. The judge is a patch discriminator (Isola et al. 2017) with hinge
losses; the decoder is also held to the judge's own features of the real picture, a perceptual loss that needs no network
trained on pictures of somebody else. Reads out/vae-decoder (or vae-final) and writes out/vae-sharp. Pictures are icons as in
vae.py and scenes in every style, as the decoder meets them later.
"""
import argparse
import copy
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import scenes
from muon import Muon
from vae import Batches, loss_of, psnr, signal

FEATURES, ADVERSE = 0.1, 0.02  # weights of the judge's features and of its verdict beside loss_of
KINDS = ("pair", "count", "ground", "mixed")


class Judge(torch.nn.Module):
    """Verdicts on patches of 46 pixels: (n, 3, h, w) to the feature maps of three levels and the verdicts (n, 1, h/8, w/8)."""

    def __init__(self):
        super().__init__()
        widths = (3, 24, 48, 64)
        self.levels = torch.nn.ModuleList(
            torch.nn.utils.parametrizations.spectral_norm(torch.nn.Conv2d(into, outof, 4, 2, 1)) for into, outof in zip(widths, widths[1:])
        )
        self.last = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, pictures):
        maps = []
        for level in self.levels:
            pictures = F.leaky_relu(level(pictures), 0.2)
            maps.append(pictures)
        return maps, self.last(pictures)


class Mixed:
    """Icons as vae.py draws them and, every second time, a scene in any style."""

    def __init__(self, folder, seed):
        self.single, self.icons, self.rng = Batches(folder, seed), scenes.Icons(folder), random.Random(seed)

    def batch(self, count):
        """Float (count, 3, 512, 512) in -1..1."""
        if self.rng.random() < 0.5:
            return self.single.batch(count, 512)
        pictures = []
        for _ in range(count):
            style, pool = self.rng.choice(("flat", *scenes.STYLES)), self.rng.choice((None, scenes.COMMON, scenes.WORDED))
            pictures.append(scenes.composed(self.icons, self.rng.choice(KINDS), 512, 512, pool, style, self.rng)[0])
        return signal(pictures)


def sharpen(vae, batches, args, on_save):
    """Trains vae's decoder for args.minutes and returns the averaged copy."""
    trained = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    judge = Judge().to(args.device, memory_format=torch.channels_last)
    average = copy.deepcopy(vae).eval()
    pairs = list(average.parameters()), list(vae.parameters())
    optimiser, judging = Muon(trained, args.rate, args.rate / 8), torch.optim.AdamW(judge.parameters(), 4e-4, betas=(0.5, 0.95))
    start = saved = time.time()
    step, said = 0, []
    while (done := (time.time() - start) / (args.minutes * 60)) < 1:
        optimiser.set_factor(min(1, (step + 1) / 30) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * done))))
        target = batches.batch(2).to(args.device)
        with torch.autocast(args.device, dtype=torch.bfloat16):
            with torch.no_grad():
                posterior = vae.encode(target).latent_dist
            restored = vae.decode(posterior.sample()).sample
            for parameter in judge.parameters():
                parameter.requires_grad_(False)
            maps, verdict = judge(restored)
            with torch.no_grad():
                wanted, _ = judge(target)
        likeness = sum((map.float() - want.float()).abs().mean() / (want.float().abs().mean() + 1e-3) for map, want in zip(maps, wanted))
        # The judge first learns what it is to judge.
        adverse = ADVERSE * min(1, step / 200)
        loss = loss_of(restored.float(), target, posterior) + FEATURES * likeness - adverse * verdict.float().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        for parameter in judge.parameters():
            parameter.requires_grad_(True)
        with torch.autocast(args.device, dtype=torch.bfloat16):
            real, made = judge(target)[1].float(), judge(restored.detach())[1].float()
        judging.zero_grad()
        (F.relu(1 - real).mean() + F.relu(1 + made).mean()).backward()
        judging.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(*pairs, 1 - min(0.998, (1 + step) / (10 + step)))
        said.append((F.mse_loss(restored.detach().float(), target).item(), likeness.item(), real.mean().item(), made.mean().item()))
        if step % 50 == 0:
            error, likeness, real, made = np.mean(said[-50:], 0)
            print(f"{step} {time.time() - start:.0f}s psnr {10 * np.log10(4 / error):.2f} dB features {likeness:.3f} verdicts {real:.2f} {made:.2f}", flush=True)
        if time.time() - saved > 240:
            saved = time.time()
            on_save(average, 12)
    return average


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    before = os.path.join(args.out, "vae-decoder")
    vae = AutoencoderKL.from_pretrained(before if os.path.exists(before) else os.path.join(args.out, "vae-final"))
    vae.to(args.device, memory_format=torch.channels_last)
    batches = Mixed(args.data, 2)

    def save(average, count):
        print(f"held out: {psnr(average, batches.single, count, args.device):.2f} dB", flush=True)
        average.save_pretrained(os.path.join(args.out, "vae-sharp"))

    save(sharpen(vae, batches, args, save), 1000)


if __name__ == "__main__":
    main()
