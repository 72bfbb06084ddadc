"""Measures what else people do with the model: img2img, inpainting, prompts beyond its world, and words that should do no harm.

* img2img: a real icon is drawn over with its name in another colour; right when it is still that thing and has that colour.
* Inpainting: of a pair of real icons the right one is masked and another thing asked for; right when that is there.
* Beyond: prompts of things that it has never seen. What they give is as clean as an icon when it is as near to the rendering
  nearest to it as nine out of ten pictures of known things are.
* Harm: the same names and seeds alone, and with quality words and a long negative prompt.
"""
import numpy as np

import data
import scenes
from judge import features, nearest_names, picture_colour
from sample import sheet

BEYOND = (
    "a photo of a city at night", "a portrait of an old man", "a medieval castle on a hill", "a bowl of ramen", "a woman with long hair",
    "a knight in shining armor", "a photo of a mountain lake", "a wizard casting a spell", "an astronaut riding a horse", "a violin",
    "a steam locomotive", "a beautiful landscape, oil painting", "a close-up of a face", "an abandoned factory", "a samurai", "a chessboard",
    "a lighthouse in a storm", "a bottle of wine", "a map of an island", "a spider web", "a crowded market", "a kitchen", "a submarine",
    "two people dancing",
)
QUALITY = "masterpiece, best quality, highly detailed, sharp focus, 8k, trending on artstation, {0}, professional, award winning"
NEGATIVE = (
    "lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, fewer digits, cropped, worst quality, low quality, normal "
    "quality, jpeg artifacts, signature, watermark, username, blurry, ugly, deformed, nsfw"
)
NAMES, EDITS = 48, 24


def nearness(pictures, known):
    """Likeness (0..1) of each picture to the rendering nearest to it."""
    return (features(pictures) @ known.features.T).max(1) / 3


def over_and_into(model, icons, known, rng, draw):
    """img2img and inpainting: the shares that are right, and for each a few (before, after, prompt)."""
    painted = [(number, rng.choice(sorted(set(data.PAINTS) - {icons.own["flat"][number]}))) for number in rng.sample(icons.worded, EDITS)]
    painted = [(number, paint) for number, paint in painted if icons.takes(number, paint)]
    before = [data.over(icons.picture(number, 512)) for number, _ in painted]
    prompts = [f"a {paint} {icons.things[number].name}" for number, paint in painted]
    after = model.draw_over(before, prompts, strength=0.8, seed=700, **draw)
    kept = [number in names for (number, _), names in zip(painted, nearest_names(after, known))]
    turned = [paint == picture_colour(picture) for (_, paint), picture in zip(painted, after)]
    shown = list(zip(before, after, prompts))[:4]
    figures = {"img2img thing": np.mean(kept), "img2img colour": np.mean(turned)}

    side, corners = scenes.slots(2, 512, 512)
    corners = [(left, 128) for left, _ in corners]
    mask = np.ones((512, 512), np.float32)
    mask[128:128 + side, side:] = 0
    chosen = [rng.sample(icons.common, 3) for _ in range(EDITS)]
    before = [scenes.canvas(512, 512, None, [(icons.picture(n, side), *corner) for n, corner in zip(three, corners)]) for three in chosen]
    prompts = [f"a {icons.things[first].name} next to a {icons.things[third].name}" for first, _, third in chosen]
    after = model.draw_over(before, prompts, strength=1.0, seed=800, keep=mask, **draw)
    there = [three[2] in names for three, names in zip(chosen, nearest_names([picture[128:128 + side, side:] for picture in after], known))]
    figures["inpainted thing"] = np.mean(there)
    return figures, shown + list(zip(before, after, prompts))[:4]


def measure(model, icons, known, rng, args):
    """Draws, judges and prints; returns the figures and a sheet of before and after, then prompts beyond its world."""
    draw = {"steps": args.steps, "scale": args.scale}
    figures, edits = over_and_into(model, icons, known, rng, draw)
    numbers = rng.sample(range(len(icons.things)), NAMES)
    names = [icons.things[number].name for number in numbers]
    alone = model.draw(names, seed=900, **draw)
    adorned = model.draw([QUALITY.format(name) for name in names], negative=NEGATIVE, seed=900, **draw)
    for label, pictures in (("names alone", alone), ("names adorned", adorned)):
        figures[label] = np.mean([number == ranked[0] for number, ranked in zip(numbers, nearest_names(pictures, known))])
    beyond = model.draw(BEYOND, negative=NEGATIVE, seed=950, **draw)
    figures["beyond"] = np.mean(nearness(beyond, known) >= np.quantile(nearness(alone, known), 0.1))
    figures = {label: float(value) for label, value in figures.items()}
    print(", ".join(f"{label} {100 * value:.0f} %" for label, value in figures.items()), flush=True)
    pictures = [picture for before, after, _ in edits for picture in (before, after)]
    words = [text for number, (_, _, prompt) in enumerate(edits) for text in (("img2img", "inpainting")[number >= 4] + ": from", prompt)]
    return figures, sheet(pictures + list(beyond), words + list(BEYOND))
