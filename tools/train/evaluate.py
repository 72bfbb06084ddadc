"""Measures an exported model on 200 prompts worded as no caption of the training is, and draws the contact sheet.

* PSNR: the autoencoder on icons it has never seen, 512x512 on white.
* Naming: the nearest neighbours of a generated picture among renderings of every name (mirrored, two sizes,
  recoloured), in a space of blurred colour and edges at 32x32; right when the name asked for is among the five nearest
  names. The same measure on real icons, moved and shrunk and passed through the autoencoder, is printed as its ceiling.
* Colour: the commonest colour word over the picture's foreground is the word asked for.
"""
import argparse
import json
import os
import random

import numpy as np
import torch
from PIL import Image

import data
from sample import Model, sheet
from vae import Batches, psnr

SUFFIXES = (
    " drawn simply", ", flat style, masterpiece, best quality", " icon, high quality, centered", ", a lovely flat emoji", " in flat style",
    " as a 3d emoji", " on a plain white background, best quality", ", simple drawing, sharp", ", rendered in 3d, best quality, detailed",
)
NEGATIVE = "lowres, bad anatomy, worst quality, blurry, watermark"
GRID = 32


def prompts_of(things, rng):
    """200 of {prompt, thing, colour}: 120 plain names, 60 with a colour word, 20 on a coloured background."""
    chosen = rng.sample(range(len(things)), 140)
    listed = []
    for number in chosen[:120]:
        name = things[number].name
        article = "" if name.endswith("s") and name != "bus" else "an " if name[0] in "aeiou" else "a "
        listed.append({"prompt": f"{article}{name}{rng.choice(SUFFIXES)}", "thing": number, "colour": None})
    for number in chosen[120:]:
        ground = rng.choice(sorted(data.GROUNDS))
        listed.append({"prompt": f"{things[number].name} icon, {ground} background, best quality", "thing": number, "colour": None})
    pairs = [(number, colour) for number, thing in enumerate(things) if thing.paint for colour in sorted(data.PAINTS)]
    for number, colour in rng.sample(pairs, 60):
        listed.append({"prompt": f"{'an' if colour == 'orange' else 'a'} {colour} {things[number].name}, best quality, {rng.choice(('centered', 'minimal', 'sharp'))}", "thing": number, "colour": colour})
    return listed


def features(pictures):
    """Blurred colour and edge strength at GRID x GRID, each part of unit length: (n, h, w, 3) uint8 to (n, d) float32."""
    rows = []
    for picture in pictures:
        image = Image.fromarray(np.ascontiguousarray(picture)).resize((GRID, GRID), Image.Resampling.BOX)
        values = np.asarray(image, np.float32) / 127.5 - 1
        border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
        values = values - np.median(border, 0)  # the background's colour does not count
        grey = values.mean(-1)
        edges = np.abs(np.diff(grey, axis=0, prepend=0)) + np.abs(np.diff(grey, axis=1, prepend=0))
        parts = [values.ravel(), 1.5 * np.abs(values).max(-1).ravel(), edges.ravel()]
        rows.append(np.concatenate([part / (np.linalg.norm(part) + 1e-3) for part in parts]))
    return np.stack(rows)


def references(things, pixels, rows):
    """Features of the renderings of every name, and the thing of each."""
    found, owners = [], []
    for number, thing in enumerate(things):
        rgba = pixels[rows[thing.icon, "flat"]]
        shapes = [rgba, data.place(rgba, 0.85)]
        if thing.paint:
            shapes += [data.repaint(rgba[::4, ::4], target) for target in data.PAINTS.values()]
        for shape in shapes:
            flat = data.over(shape)
            found += [flat, flat[:, ::-1]]
            owners += [number] * 2
    return features(found), np.array(owners)


def nearest_names(pictures, known, owners, count=5):
    """The `count` nearest different things of every picture, best first."""
    likeness = features(pictures) @ known.T
    ranked = []
    for row in likeness:
        order = owners[np.argsort(-row)]
        _, first = np.unique(order, return_index=True)
        ranked.append(order[np.sort(first)[:count]])
    return ranked


def picture_colour(picture):
    """The commonest colour word over the pixels that differ from the border, white and grey left out where others exist."""
    small = np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((64, 64), Image.Resampling.BOX), np.float32)
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    front = small[np.abs(small - np.median(border, 0)).max(-1) > 40] / 255
    counts = {}
    for hue, saturation, value in zip(*data._hsv(front)):
        word = data.colour_word(hue, saturation, value)
        counts[word] = counts.get(word, 0) + 1
    coloured = {word: n for word, n in counts.items() if word not in ("white", "grey")}
    counts = coloured if sum(coloured.values()) > 0.15 * max(1, len(front)) else counts
    return max(counts, key=counts.get) if counts else "white"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--data", required=True)
    parser.add_argument("--sheet", required=True, help="JPEG to write")
    parser.add_argument("--report", help="JSON to write")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--scale", type=float, default=5.0)
    parser.add_argument("--count", type=int, default=200, help="take only so many prompts, evenly, for a quick look")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    things = data.read_names()
    pixels, index = data.load_icons(args.data)
    rows = {(entry["id"], entry["style"]): row for row, entry in enumerate(index)}
    listed = prompts_of(things, random.Random(2024))
    listed = listed[:: max(1, len(listed) // args.count)]
    model = Model(args.model)
    report = {"psnr": psnr(model.vae, Batches(args.data, 0), 1000, "cpu")}
    print(f"PSNR {report['psnr']:.1f} dB on unseen flat icons", flush=True)

    known, owners = references(things, pixels, rows)
    rng = random.Random(7)
    real = []
    for item in listed:
        rgba = pixels[rows[things[item["thing"]].icon, "flat"]]
        if item["colour"]:
            rgba = data.repaint(rgba, data.PAINTS[item["colour"]])
        real.append(data.over(data.place(rgba, rng.uniform(0.8, 1.0), rng.randint(-20, 20), rng.randint(-20, 20))))
    with torch.no_grad():
        parts = torch.from_numpy(np.stack(real)).permute(0, 3, 1, 2).float().split(8)
        passed = torch.cat([model.vae.decode(model.vae.encode(part / 127.5 - 1).latent_dist.mean).sample for part in parts])
    real = ((passed.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()

    drawn = []
    for first in range(0, len(listed), 20):
        part = [item["prompt"] for item in listed[first:first + 20]]
        drawn.append(model.draw(part, negative=NEGATIVE, steps=args.steps, scale=args.scale, seed=1000 + first))
        print(f"drawn {first + len(part)} of {len(listed)}", flush=True)
    drawn = np.concatenate(drawn)

    for label, pictures in (("ceiling", real), ("drawn", drawn)):
        ranked = nearest_names(pictures, known, owners)
        top1 = np.mean([item["thing"] == names[0] for item, names in zip(listed, ranked)])
        top5 = np.mean([item["thing"] in names for item, names in zip(listed, ranked)])
        asked = [(item["colour"], picture_colour(picture)) for item, picture in zip(listed, pictures) if item["colour"]]
        right = np.mean([want == got for want, got in asked])
        report[label] = {"top1": float(top1), "top5": float(top5), "colour": float(right)}
        print(f"{label}: top-1 {100 * top1:.0f} %, top-5 {100 * top5:.0f} %, colour {100 * right:.0f} % of {len(asked)}", flush=True)
        report[label]["missed"] = [item["prompt"] for item, names in zip(listed, ranked) if item["thing"] not in names]
        report[label]["miscoloured"] = [f"{want} drawn {got}" for want, got in asked if want != got]
    take = np.linspace(0, len(listed) - 1, min(64, len(listed))).round().astype(int)
    sheet(drawn[take], [listed[i]["prompt"] for i in take]).save(args.sheet, quality=85, optimize=True)
    if args.report:
        with open(args.report, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
