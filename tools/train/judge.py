"""Says what a picture shows: nearest neighbours among renderings of every name, its style, main colour word and background."""
from collections import namedtuple

import numpy as np
from PIL import Image

import data

GRID = 32
References = namedtuple("References", ("features", "owners", "styles"))


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


def references(icons):
    """Renderings of every name in every style: their features (n, d), and for each its thing and its style."""
    found, owners, styles = [], [], []
    for style in icons.own:
        for number, thing in enumerate(icons.things):
            rgba = icons.source(number, style)
            shapes = [rgba, data.place(rgba, 0.85)]
            if thing.paint:
                shapes += [data.repaint(rgba[::4, ::4], target) for target in data.PAINTS.values()]
            flat = [data.over(shape) for shape in shapes]
            found.append(features(flat + [picture[:, ::-1] for picture in flat]))
            owners += [number] * 2 * len(shapes)
            styles += [style] * 2 * len(shapes)
    return References(np.concatenate(found), np.array(owners), np.array(styles))


def nearest_names(pictures, known, count=5):
    """The `count` nearest different things of every picture, best first; `known` as references() gives it."""
    likeness = features(pictures) @ known.features.T
    ranked = []
    for row in likeness:
        order = known.owners[np.argsort(-row)]
        _, first = np.unique(order, return_index=True)
        ranked.append(order[np.sort(first)[:count]])
    return ranked


def nearest_style(picture, thing, known):
    """The style of that rendering of the thing which is nearest to the picture."""
    own = known.owners == thing
    return known.styles[own][(known.features[own] @ features([picture])[0]).argmax()]


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
