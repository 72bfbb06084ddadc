"""Measures sizes and scenes: is every thing that the prompt asks for at its place, and is it as asked?

For a scene the place of each thing is known (scenes.slots), so each place is cut out and named as a picture of its own. A
place counts as right when the name asked for is among the five nearest and, where the prompt gives the thing a colour, the
colour is right too; a picture when all of its places are and, where the prompt names a background, that is right as well,
and where it names a style, the nearest renderings of the things are of that style.
"""
import random
from dataclasses import dataclass

import numpy as np

import captions
import data
import scenes
from judge import nearest_names, nearest_style, picture_colour, picture_ground
from sample import sheet

# Single things; "hires" draws a quarter of the picture's area, enlarges it and draws on from there.
SIZES = (
    (256, 256, ""), (384, 512, ""), (512, 768, ""), (768, 512, ""), (768, 768, ""), (1024, 1024, ""), (768, 768, "hires"),
    (1024, 1024, "hires"),
)
PER_SIZE = 16
# Kind, width, height, how many, of which things: any of names.txt, or common ones (those marked "scene" there); "worded" are
# common ones with a colour and on a coloured background; a style's are single things of any kind, and scenes of common ones.
SCENES = (
    ("pair", 512, 512, 16, "any"), ("pair", 768, 512, 16, "any"), ("count", 512, 512, 16, "any"), ("count", 768, 512, 8, "any"),
    ("place", 512, 512, 16, "any"), ("pair", 512, 512, 24, "common"), ("count", 512, 512, 24, "common"), ("pair", 512, 512, 24, "worded"),
    ("count", 512, 512, 24, "worded"), ("pair", 768, 512, 16, "common"), ("count", 768, 512, 16, "common"), ("one", 512, 512, 24, "3d"),
    ("one", 512, 512, 24, "cartoon"), ("pair", 512, 512, 16, "3d"), ("count", 512, 512, 16, "cartoon"),
)
STYLED = {"3d": ", as a 3d picture, best quality", "cartoon": ", drawn in cartoon style, best quality"}


@dataclass
class Asked:
    """A prompt and what must be seen: things and colours at places (left, top, side), the background's name, the style."""

    prompt: str
    places: list
    things: list
    colours: list
    ground: str | None = None
    style: str = "flat"


def middle(width, height):
    """The square in the middle of a picture, as (left, top, side)."""
    side = min(width, height)
    return [((width - side) // 2, (height - side) // 2, side)]


def an(words):
    """The words with their indefinite article."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def scene(kind, width, height, which, things, rng):
    """A random prompt of a kind of scene."""
    worded, style = which == "worded", which if which in STYLED else "flat"
    every = which == "any" or kind == "one"
    pool = [number for number, thing in enumerate(things) if every or (thing.scene and (thing.paint or not worded))]
    first, second = rng.sample(pool, 2)
    ground = rng.choice(sorted(data.GROUNDS)) if worded else None
    # Two colours that are neither each other's nor the background's.
    colours = rng.sample(sorted(set(data.PAINTS) - set((ground or "").split())), 2) if worded else [None, None]
    words = [f"{colour} {things[number].name}" if colour else things[number].name for number, colour in zip((first, second), colours)]
    tail = f" on a {ground} background, best quality" if worded else STYLED.get(style, ", best quality")
    if kind == "pair":
        side, _ = scenes.slots(2, width, height)
        top = (height - side) // 2 // scenes.CELL * scenes.CELL
        places = [(0, top, side), (width - side, top, side)]
        return Asked(f"{an(words[0])} next to {an(words[1])}{tail}", places, [first, second], colours, ground, style)
    if kind == "count":
        count = rng.choice((2, 3, 4))
        side, corners = scenes.slots(count, width, height)
        prompt = f"{('two', 'three', 'four')[count - 2]} {captions.plural(words[0])}{tail}"
        return Asked(prompt, [(*corner, side) for corner in corners], [first] * count, colours[:1] * count, ground, style)
    if kind == "one":
        return Asked(f"{an(words[0])}{tail}", middle(width, height), [first], colours[:1], ground, style)
    where = rng.choice(("left", "right", "top left", "bottom right"))
    side = min(width, height) // 2
    left, top = (round(share * (room - side)) for share, room in zip(scenes.PLACES[where], (width, height)))
    return Asked(f"a small {words[0]} {captions.WHERE[where][0]}{tail}", [(left, top, side)], [first], colours[:1], ground)


def real(icons, asked, width, height):
    """The scene made of the real icons, as the training's pictures are, for comparison."""
    parts = [
        (icons.picture(number, side, colour, asked.style), left, top)
        for number, colour, (left, top, side) in zip(asked.things, asked.colours, asked.places)
    ]
    return scenes.canvas(width, height, asked.ground, parts)


def right_places(picture, asked, known):
    """For every place whether the thing asked for is there, in its colour; and whether all is in the style asked for."""
    cut = [picture[top:top + side, left:left + side] for left, top, side in asked.places]
    named = [number in names for number, names in zip(asked.things, nearest_names(cut, known))]
    styles = [nearest_style(part, number, known) for part, number in zip(cut, asked.things)]
    right = [name and colour in (None, picture_colour(part)) for name, colour, part in zip(named, asked.colours, cut)]
    return right, asked.style not in STYLED or set(styles) == {asked.style}


def measure(model, icons, known, args):
    """Draws and judges everything, prints a line for each size and kind and returns the shares; writes args.scenes_sheet."""
    rng, found, shown, jobs, things = random.Random(11), {}, [], [], icons.things

    def judge(label, pictures, asked):
        judged = [right_places(picture, item, known) for picture, item in zip(pictures, asked)]
        whole = [
            all(right) and style and item.ground in (None, picture_ground(picture))
            for picture, (right, style), item in zip(pictures, judged, asked)
        ]
        found[label] = {"places": float(np.mean(sum((right for right, _ in judged), []))), "whole": float(np.mean(whole))}
        if asked[0].style in STYLED:
            found[label]["style"] = float(np.mean([style for _, style in judged]))
        print(f"{label}: {100 * found[label]['places']:.0f} % of the things at their place, {100 * found[label]['whole']:.0f} % of the pictures whole"
              + (f", {100 * found[label]['style']:.0f} % in the style" if "style" in found[label] else ""), flush=True)

    for width, height, way in SIZES:
        numbers = rng.sample(range(len(things)), PER_SIZE)
        asked = [Asked(f"{an(things[number].name)}, best quality", middle(width, height), [number], [None]) for number in numbers]
        jobs.append((f"{width}x{height} {way}".strip(), width, height, way, asked))
    for kind, width, height, count, which in SCENES:
        asked = [scene(kind, width, height, which, things, rng) for _ in range(count)]
        jobs.append((f"{which} {kind} {width}x{height}", width, height, "", asked))
    for label, width, height, way, asked in jobs:
        draw = model.draw_hires if way == "hires" else model.draw
        prompts = [item.prompt for item in asked]
        pictures = draw(prompts, seed=500, steps=args.steps, scale=args.scale, width=width, height=height)
        judge(label, pictures, asked)
        if asked[0].ground or asked[0].style in STYLED:
            judge(f"{label}, real icons", model.through([real(icons, item, width, height) for item in asked]), asked)
        shown += [(picture, f"{prompt.removesuffix(', best quality')} ({width}x{height})") for picture, prompt in list(zip(pictures, prompts))[:8]]
    if args.scenes_sheet:
        sheet([picture for picture, _ in shown], [words for _, words in shown]).save(args.scenes_sheet, quality=85, optimize=True)
    return found
