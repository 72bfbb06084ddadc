"""Standardises the autoencoder's latents and encodes the pictures that the text-to-image model learns from.

The latents' mean and deviation per channel are folded into quant_conv and post_quant_conv, so that scaling_factor is 1.
Writes vae-final/ (diffusers folder) and latents.npz with, for every picture, the facts that its caption is made of.
"""
import argparse
import json
import os
import random

import numpy as np
import torch
from diffusers import AutoencoderKL

import data

BATCH = 8


def standardise(vae, pictures):
    """Folds (x - mean) / deviation of the latents of `pictures` (n, 3, h, w) into the 1x1 convolutions, in place."""
    with torch.no_grad():
        means = torch.cat([vae.encode(part).latent_dist.mean for part in pictures.split(BATCH)])
        mean, deviation = means.mean((0, 2, 3)), means.std((0, 2, 3))
        into, outof, channels = vae.quant_conv, vae.post_quant_conv, mean.numel()
        outof.bias += outof.weight[:, :, 0, 0] @ mean
        outof.weight *= deviation[None, :, None, None]
        into.weight[:channels] /= deviation[:, None, None, None]
        into.bias[:channels] = (into.bias[:channels] - mean) / deviation
        into.bias[channels:] -= 2 * deviation.log()  # the posterior's log variance
    vae.register_to_config(scaling_factor=1.0)


def variants(things, rows, pixels, rng):
    """Yields (rgb uint8, facts) for every picture of the main set, at 512x512."""
    white = (255, 255, 255)
    for number, thing in enumerate(things):
        rgba = pixels[rows[thing.icon, "flat"]]
        facts = {"thing": number, "colour": data.own_colour(rgba), "painted": False, "ground": None}
        yield data.over(rgba), {**facts, "group": "plain"}
        yield data.over(rgba)[:, ::-1], {**facts, "group": "moved"}
        moved = data.place(rgba, rng.uniform(0.75, 0.95), rng.randint(-32, 32), rng.randint(-32, 32))
        yield data.over(moved), {**facts, "group": "moved"}
        for ground in rng.sample(sorted(data.GROUNDS), 2):
            yield data.over(rgba, data.GROUNDS[ground]), {**facts, "ground": ground, "group": "ground"}
        if thing.paint:
            for word, target in data.PAINTS.items():
                if word != facts["colour"]:
                    yield data.over(data.repaint(rgba, target), white), {**facts, "colour": word, "painted": True, "group": "painted"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True, help="folder of the trained vae/")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pixels, index = data.load_icons(args.data)
    rows = {(entry["id"], entry["style"]): row for row, entry in enumerate(index)}
    things = data.read_names()
    vae = AutoencoderKL.from_pretrained(os.path.join(args.out, "vae")).eval().to(args.device, memory_format=torch.channels_last)

    def tensor(pictures):
        stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().to(args.device) / 127.5 - 1
        return stacked.contiguous(memory_format=torch.channels_last)

    def encode(pictures):
        with torch.no_grad():
            return vae.encode(tensor(pictures)).latent_dist.mean.half().cpu().numpy()

    standardise(vae, tensor([data.over(pixels[rows[thing.icon, "flat"]]) for thing in things]))
    vae.save_pretrained(os.path.join(args.out, "vae-final"))

    latents, facts, waiting = [], [], []
    for picture, fact in variants(things, rows, pixels, random.Random(0)):
        facts.append(fact)
        waiting.append(picture)
        if len(waiting) == BATCH:
            latents.append(encode(waiting))
            waiting = []
            if len(facts) % 400 == 0:
                print(len(facts), flush=True)
    if waiting:
        latents.append(encode(waiting))

    small = [data.over(data.place(pixels[rows[thing.icon, "flat"]], 1.0, side=256)) for thing in things]
    arrays = {
        "latents": np.concatenate(latents),
        "small": np.concatenate([encode(small[i:i + BATCH]) for i in range(0, len(small), BATCH)]),
        "white": encode([np.full((768, 768, 3), 255, np.uint8)])[0],
    }
    np.savez(os.path.join(args.out, "latents.npz"), facts=json.dumps(facts), **arrays)
    for name, array in arrays.items():
        print(name, array.shape, f"mean {array.mean():.3f} deviation {array.astype(np.float32).std():.3f}", flush=True)


if __name__ == "__main__":
    main()
