"""Icons as arrays: the list of names, the RGBA pictures, backgrounds, and recoloured copies."""
import json
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 512
CELL = 32  # pixels to the side of a latent cell

# The colour words of the captions, each with the RGB that a recoloured thing's main colour becomes.
PAINTS = {
    "red": (214, 30, 48), "orange": (255, 120, 20), "yellow": (252, 210, 60), "green": (20, 170, 80),
    "blue": (20, 120, 225), "purple": (130, 70, 190), "pink": (250, 120, 180), "black": (45, 45, 50),
}

# Backgrounds by name; white, the default, is not in the table.
GROUNDS = {
    "red": (220, 50, 60), "orange": (255, 150, 60), "yellow": (255, 220, 90), "green": (70, 180, 100),
    "blue": (60, 130, 230), "purple": (140, 90, 200), "pink": (250, 160, 200), "black": (20, 20, 24), "grey": (150, 150, 155),
    "light blue": (170, 215, 250),
}


@dataclass(frozen=True)
class Thing:
    """One line of names.txt."""

    icon: str
    name: str
    others: tuple[str, ...]
    paint: bool
    scene: bool


def read_names(path=os.path.join(os.path.dirname(__file__), "names.txt")):
    """The things the text-to-image model knows, in file order."""
    things = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                icon, name, others, marks = ([part.strip() for part in line.split("|")] + ["", "", ""])[:4]
                words = tuple(o.strip() for o in others.split(",") if o.strip())
                things.append(Thing(icon, name, words, "paint" in marks.split(), "scene" in marks.split()))
    return things


def load_rgba(path):
    """A picture as uint8 (SIDE, SIDE, 4)."""
    image = Image.open(path).convert("RGBA")
    if image.size != (SIDE, SIDE):
        image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def load_icons(folder):
    """All pictures, uint8 (count, SIDE, SIDE, 4) memory-mapped from a cache, and their [{id, style}] in the same order."""
    cache, index = os.path.join(folder, "icons.npy"), os.path.join(folder, "icons-index.json")
    if not os.path.exists(index):
        with open(os.path.join(folder, "icons.json"), encoding="utf-8") as file:
            listed = json.load(file)
        entries = [(icon["id"], style, icon[style]) for icon in listed for style in ("flat", "solid") if icon[style]]
        pixels = np.lib.format.open_memmap(cache, "w+", np.uint8, (len(entries), SIDE, SIDE, 4))
        for row, (_, _, path) in enumerate(entries):
            pixels[row] = load_rgba(os.path.join(folder, path))
        pixels.flush()
        with open(index, "w", encoding="utf-8") as file:
            json.dump([{"id": icon, "style": style} for icon, style, _ in entries], file)
    with open(index, encoding="utf-8") as file:
        return np.load(cache, mmap_mode="r"), json.load(file)


def shrunk(folder, pixels, step):
    """The pictures of load_icons averaged over step x step pixels, colours weighted by opacity; kept in a cache file."""
    cache = os.path.join(folder, f"icons-{SIDE // step}.npy")
    if not os.path.exists(cache):
        np.save(cache, np.stack([np.asarray(Image.fromarray(rgba).convert("RGBa").reduce(step).convert("RGBA")) for rgba in pixels]))
    return np.load(cache)


def held_out_ids():
    """Icons that no training step sees, so that the autoencoder can be measured on them."""
    with open(os.path.join(os.path.dirname(__file__), "held-out.txt"), encoding="utf-8") as file:
        return set(file.read().split())


def over(rgba, ground=(255, 255, 255)):
    """The picture on a plain ground: uint8 (..., 4) and an RGB triple to uint8 (..., 3)."""
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = rgba[..., :3].astype(np.uint16) * alpha + np.asarray(ground, np.uint16) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def place(rgba, scale, dx=0, dy=0, side=SIDE):
    """The picture shrunk to `scale` of its size and moved (dx, dy) pixels from the centre of a clear canvas."""
    size = round(side * scale)
    small = Image.fromarray(np.ascontiguousarray(rgba)).resize((size, size), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    canvas.paste(small, ((side - size) // 2 + dx, (side - size) // 2 + dy))
    return np.asarray(canvas)


def _hsv(rgb):
    """RGB 0..1 (..., 3) to hue, saturation, value, each 0..1."""
    high, low = rgb.max(-1), rgb.min(-1)
    span = high - low
    safe = np.where(span > 0, span, 1)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(high == r, ((g - b) / safe) % 6, np.where(high == g, (b - r) / safe + 2, (r - g) / safe + 4)) / 6
    return np.where(span > 0, hue, 0), np.where(high > 0, span / np.where(high > 0, high, 1), 0), high


def _rgb(hue, saturation, value):
    """The inverse of _hsv."""
    step = (np.stack([hue * 6 + 5, hue * 6 + 3, hue * 6 + 1], -1)) % 6
    return value[..., None] * (1 - saturation[..., None] * np.clip(np.minimum(step, 4 - step), 0, 1))


def main_hue(rgba):
    """Hue (0..1), median saturation and value of the commonest colour, and the share of opaque pixels within it."""
    solid = rgba[::4, ::4][rgba[::4, ::4, 3] > 128][:, :3] / 255
    hue, saturation, value = _hsv(solid)
    vivid = (saturation > 0.25) & (value > 0.2)
    if vivid.sum() < 20:
        return 0.0, 0.0, 0.0, 0.0
    counts, edges = np.histogram(hue[vivid], 36, (0, 1))
    smooth = counts + np.roll(counts, 1) + np.roll(counts, -1)
    centre = edges[smooth.argmax()] + 1 / 72
    near = vivid & (np.abs((hue - centre + 0.5) % 1 - 0.5) < 0.11)
    return float(centre), float(np.median(saturation[near])), float(np.median(value[near])), float(near.sum() / len(solid))


def repaint(rgba, target):
    """The picture with its commonest colour, and the shades of it, turned into `target` (RGB 0..255); other hues stay."""
    centre, saturation0, value0, share = main_hue(rgba)
    if share == 0:
        return rgba
    hue, saturation, value = _hsv(rgba[..., :3] / 255)
    goal = [float(c[0]) for c in _hsv(np.asarray([target]) / 255)]
    offset = (hue - centre + 0.5) % 1 - 0.5
    inside = np.clip((0.14 - np.abs(offset)) / 0.03, 0, 1) * np.clip((saturation - 0.08) / 0.1, 0, 1)
    new = _rgb(
        (goal[0] + offset * 0.5) % 1,
        np.clip(saturation * goal[1] / max(saturation0, 1e-3), 0, 1),
        np.clip(value * goal[2] / max(value0, 1e-3), 0, 1),
    )
    mixed = rgba[..., :3] / 255 * (1 - inside[..., None]) + new * inside[..., None]
    return np.concatenate([np.round(mixed * 255).astype(np.uint8), rgba[..., 3:]], -1)


def colour_word(hue, saturation, value):
    """The plain English word for a colour given as hue, saturation and value, each 0..1."""
    if value < 0.3:
        return "black"
    if saturation < 0.2:
        return "white" if value > 0.85 else "grey"
    degrees = hue * 360
    if degrees >= 345 or degrees < 14:
        return "pink" if saturation < 0.55 and value > 0.8 else "red"
    if degrees < 40:
        return "brown" if value < 0.75 else "orange"
    if degrees < 66:
        return "yellow" if value > 0.6 else "brown"
    if degrees < 165:
        return "green"
    if degrees < 250:
        return "blue"
    if degrees < 292:
        return "purple"
    return "pink" if value > 0.7 else "purple"


def own_colour(rgba):
    """The word for a picture's own main colour where it is plain to see, else None."""
    hue, saturation, value, share = main_hue(rgba)
    return colour_word(hue, saturation, value) if share > 0.45 else None
