"""Measures an exported model on 200 prompts worded as no caption of the training is, and draws the contact sheet.

* PSNR: the autoencoder on icons it has never seen, 512x512 on white.
* Naming: the nearest neighbours of a generated picture among renderings of every name (three styles, mirrored, two sizes,
  recoloured), in a space of blurred colour and edges at 32x32; right when the name asked for is among the five nearest
  names. The same measure on real icons, moved and shrunk and passed through the autoencoder, is printed as its ceiling.
* Colour: the commonest colour word over the picture's foreground is the word asked for.
* With --lora: the same on pictures of four LCM steps without guidance, and their PSNR against those of 20 steps.
* Sizes and scenes, and what else people do with it, unless --count is given: evaluate_scenes.py, evaluate_uses.py.
"""
import argparse
import json
import os
import random

import numpy as np
import torch
from PIL import Image

import data
import evaluate_scenes
import evaluate_uses
import scenes
from judge import nearest_names, picture_colour, references
from sample import Model, sheet
from vae import Batches, psnr

SUFFIXES = (
    " drawn simply", ", flat style, masterpiece, best quality", " icon, high quality, centered", ", a lovely flat emoji", " in flat style",
    " as a 3d emoji", " on a plain white background, best quality", ", simple drawing, sharp", ", rendered in 3d, best quality, detailed",
)
NEGATIVE = "lowres, bad anatomy, worst quality, blurry, watermark"


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


def judge(listed, pictures, known):
    """Shares of the right names and colours, and what was wrong."""
    ranked = nearest_names(pictures, known)
    asked = [(item["colour"], picture_colour(picture)) for item, picture in zip(listed, pictures) if item["colour"]]
    return {
        "top1": float(np.mean([item["thing"] == names[0] for item, names in zip(listed, ranked)])),
        "top5": float(np.mean([item["thing"] in names for item, names in zip(listed, ranked)])),
        "colour": float(np.mean([want == got for want, got in asked])),
        "missed": [item["prompt"] for item, names in zip(listed, ranked) if item["thing"] not in names],
        "miscoloured": [f"{want} drawn {got}" for want, got in asked if want != got],
    }


def draw_fast(model, listed):
    """Pictures of four LCM steps without guidance, from the noise that the long runs begin with."""
    parts = range(0, len(listed), 20)
    return np.concatenate([model.draw_fast([item["prompt"] for item in listed[first:first + 20]], seed=1000 + first) for first in parts])


def decibels(pictures, others):
    """Mean PSNR in dB of pictures against their counterparts."""
    errors = [((a.astype(np.float32) - b) ** 2).mean() for a, b in zip(pictures, others)]
    return float(np.mean([10 * np.log10(255 ** 2 / error) for error in errors]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--data", required=True)
    parser.add_argument("--sheet", required=True, help="JPEG to write")
    parser.add_argument("--report", help="JSON to write")
    parser.add_argument("--scenes-sheet", help="JPEG of sizes and scenes to write")
    parser.add_argument("--uses-sheet", help="JPEG of img2img, inpainting and prompts beyond its world to write")
    parser.add_argument("--lora", help="the LoRA for four LCM steps")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--scale", type=float, default=5.0)
    parser.add_argument("--count", type=int, default=200, help="take only so many prompts, evenly, for a quick look")
    parser.add_argument("--half", action="store_true", help="the UNet in bfloat16: twice as fast on processors that have it")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    icons = scenes.Icons(args.data)
    listed = prompts_of(icons.things, random.Random(2024))
    listed = listed[:: max(1, len(listed) // args.count)]
    model = Model(args.model, half=args.half)
    report = {"psnr": psnr(model.vae, Batches(args.data, 0), 1000, "cpu")}
    print(f"PSNR {report['psnr']:.1f} dB on unseen flat icons", flush=True)

    known = references(icons)
    rng = random.Random(7)
    real = []
    for item in listed:
        rgba = icons.picture(item["thing"], data.SIDE, item["colour"], "3d" if "3d" in item["prompt"] else "flat")
        real.append(data.over(data.place(rgba, rng.uniform(0.8, 1.0), rng.randint(-20, 20), rng.randint(-20, 20))))
    real = model.through(real)

    drawn = []
    for first in range(0, len(listed), 20):
        part = [item["prompt"] for item in listed[first:first + 20]]
        drawn.append(model.draw(part, negative=NEGATIVE, steps=args.steps, scale=args.scale, seed=1000 + first))
        print(f"drawn {first + len(part)} of {len(listed)}", flush=True)
    drawn = np.concatenate(drawn)

    judged = {"ceiling": real, "drawn": drawn}
    if args.lora:
        judged["lcm"] = draw_fast(Model(args.model, lora=args.lora, half=args.half), listed)
    for label, pictures in judged.items():
        report[label] = judge(listed, pictures, known)
        print(f"{label}: top-1 {100 * report[label]['top1']:.0f} %, top-5 {100 * report[label]['top5']:.1f} %, colour {100 * report[label]['colour']:.0f} %", flush=True)
    if args.lora:
        nearness = report["lcm"]["decibels"] = [decibels(judged["lcm"], drawn), decibels(draw_fast(model, listed), drawn)]
        print("lcm: {:.1f} dB from the {}-step pictures, {:.1f} dB without the LoRA".format(nearness[0], args.steps, nearness[1]), flush=True)
    if args.count == 200:
        report["scenes"] = evaluate_scenes.measure(model, icons, known, args)
        report["uses"], uses = evaluate_uses.measure(model, icons, known, random.Random(13), args)
        if args.uses_sheet:
            uses.save(args.uses_sheet, quality=85, optimize=True)
    take = np.linspace(0, len(listed) - 1, min(64, len(listed))).round().astype(int)
    sheet(drawn[take], [listed[i]["prompt"] for i in take]).save(args.sheet, quality=85, optimize=True)
    if args.report:
        with open(args.report, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
