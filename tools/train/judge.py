"""Says what a picture shows: nearest neighbours among renderings of every name, its main colour word, its background."""
import numpy as np
from PIL import Image

import data

GRID = 32


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


def picture_ground(picture):
    """The name of the background nearest to the picture's border: one of data.GROUNDS, or white."""
    border = np.concatenate([picture[:8].reshape(-1, 3), picture[-8:].reshape(-1, 3), picture[:, :8].reshape(-1, 3), picture[:, -8:].reshape(-1, 3)])
    grounds = {**data.GROUNDS, "white": (255, 255, 255)}
    middle = np.median(border.astype(np.float32), 0)
    return min(grounds, key=lambda name: float(np.abs(middle - grounds[name]).sum()))
