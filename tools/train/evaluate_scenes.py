"""Measures sizes and scenes: is every thing that the prompt asks for at its place?

For a scene the place of each thing is known (scenes.slots), so each place is cut out and named as a picture of its own. A
place counts as right when the name asked for is among the five nearest; a scene when all of its places do.
"""
import random

import numpy as np

import captions
import scenes
from judge import nearest_names
from sample import sheet

SIZES = ((256, 256), (384, 512), (512, 768), (768, 512), (768, 768), (1024, 1024))
PER_SIZE = 16
SCENES = (("pair", 512, 512, 16), ("pair", 768, 512, 16), ("count", 512, 512, 16), ("count", 768, 512, 8), ("place", 512, 512, 16))


def middle(width, height):
    """The square in the middle of a picture, as (left, top, side)."""
    side = min(width, height)
    return [((width - side) // 2, (height - side) // 2, side)]


def an(words):
    """The words with their indefinite article."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def scene(kind, width, height, things, rng):
    """A prompt, the places of its things as [(left, top, side)] and the things."""
    first, second = rng.sample(range(len(things)), 2)
    if kind == "pair":
        side, _ = scenes.slots(2, width, height)
        top = (height - side) // 2 // scenes.CELL * scenes.CELL
        prompt = f"{an(things[first].name)} next to {an(things[second].name)}, best quality"
        return prompt, [(0, top, side), (width - side, top, side)], [first, second]
    if kind == "count":
        count = rng.choice((2, 3, 4))
        side, corners = scenes.slots(count, width, height)
        prompt = f"{('two', 'three', 'four')[count - 2]} {captions.plural(things[first].name)}, best quality"
        return prompt, [(*corner, side) for corner in corners], [first] * count
    where = rng.choice(("left", "right", "top left", "bottom right"))
    side = min(width, height) // 2
    left, top = (round(share * (room - side)) for share, room in zip(scenes.PLACES[where], (width, height)))
    return f"a small {things[first].name} {captions.WHERE[where][0]}, best quality", [(left, top, side)], [first]


def measure(model, things, known, owners, args):
    """Draws and judges everything, prints a line for each size and kind and returns the shares; writes args.scenes_sheet."""
    rng, found, shown = random.Random(11), {}, []
    jobs = [(f"{width}x{height}", width, height, [
        (f"{an(things[number].name)}, best quality", middle(width, height), [number])
        for number in rng.sample(range(len(things)), PER_SIZE)
    ]) for width, height in SIZES]
    jobs += [(f"{kind} {width}x{height}", width, height, [scene(kind, width, height, things, rng) for _ in range(count)])
             for kind, width, height, count in SCENES]
    for label, width, height, asked in jobs:
        pictures = model.draw([prompt for prompt, _, _ in asked], seed=500, steps=args.steps, scale=args.scale, width=width, height=height)
        right = []
        for picture, (_, places, wanted) in zip(pictures, asked):
            cut = [picture[top:top + side, left:left + side] for left, top, side in places]
            right.append([number in names for number, names in zip(wanted, nearest_names(cut, known, owners))])
        found[label] = {"places": float(np.mean(sum(right, []))), "whole": float(np.mean([all(part) for part in right]))}
        print(f"{label}: {100 * found[label]['places']:.0f} % of the things at their place, {100 * found[label]['whole']:.0f} % of the pictures whole", flush=True)
        shown += [(picture, f"{prompt.removesuffix(', best quality')} ({width}x{height})") for picture, (prompt, _, _) in list(zip(pictures, asked))[:8]]
    if args.scenes_sheet:
        sheet([picture for picture, _ in shown], [words for _, words in shown]).save(args.scenes_sheet, quality=85, optimize=True)
    return found
