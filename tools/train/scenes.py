"""Pictures for the text-to-image model, composed from icons, each with the facts that its caption is made of.

Sizes are multiples of 32 pixels and so are the places of the icons in a scene: the autoencoder turns 32 pixels into one
latent cell, and an icon that always falls on whole cells looks the same to the model wherever it is.

A fact is one of
  {"kind": "one", "thing", "colour", "painted", "ground", "style"}             a thing as large as the short side allows
  {"kind": "place", ..., "where"}                                            a small thing at a place named in PLACES
  {"kind": "count", ..., "count"}                                            the same thing 2 to 4 times
  {"kind": "pair", "pair": [two of {"thing", "colour", "painted"}], "layout", "ground", "style"}     layout: beside, above
where "painted" says that the colour is to be named, and "style" is one of STYLES, flat where it is left out.
"""
import os
import random

import numpy as np
from PIL import Image

import data
from data import CELL
from judge import picture_colour

# Where the middle of a small thing is, as shares of the room that is left for it: across, down.
PLACES = {
    "left": (0, 0.5), "right": (1, 0.5), "top": (0.5, 0), "bottom": (0.5, 1), "top left": (0, 0), "top right": (1, 0),
    "bottom left": (0, 1), "bottom right": (1, 1), "middle": (0.5, 0.5),
}

STYLES = ("flat", "3d", "cartoon")  # Fluent Emoji flat and 3D, Noto Emoji

# What is made: kind, width, height, how many (None: every thing in every way that the kind has), of which things, in which
# style. COMMON are the things marked "scene" in names.txt, in more colours and on more grounds; WORDED those of them that
# come in any colour, always with a colour that is named and on a ground.
COMMON, WORDED = "common", "worded"
PLAN = (
    ("plain", 512, 512, None), ("painted", 512, 512, None), ("ground", 512, 512, None),
    ("mixed", 256, 256, 700), ("mixed", 768, 512, 200), ("pair", 512, 512, 600), ("count", 512, 512, 400), ("place", 512, 512, 300),
    ("mixed", 768, 768, 250), ("mixed", 512, 768, 150), ("mixed", 1024, 1024, 150), ("pair", 768, 512, 300), ("count", 768, 512, 150),
    ("pair", 768, 768, 100), ("mixed", 512, 384, 100), ("mixed", 384, 512, 100), ("pair", 1024, 1024, 60), ("count", 1024, 1024, 60),
    ("pair", 1024, 512, 150), ("count", 1024, 512, 80), ("pair", 512, 768, 100), ("count", 768, 768, 80), ("place", 768, 512, 80),
    ("count", 512, 768, 60), ("mixed", 640, 640, 100), ("place", 768, 768, 60), ("pair", 512, 512, 600), ("count", 512, 512, 300),
    ("pair", 512, 512, 700, COMMON), ("count", 512, 512, 600, COMMON), ("ground", 512, 512, 400, COMMON), ("pair", 512, 512, 700, COMMON),
    ("count", 512, 512, 400, COMMON), ("pair", 768, 512, 250, COMMON), ("place", 512, 512, 200, COMMON),
    ("styled", 512, 512, None), ("pair", 512, 512, 1500, WORDED), ("count", 512, 512, 1200, WORDED), ("pair", 768, 512, 600, WORDED),
    ("count", 768, 512, 400, WORDED), ("count", 768, 512, 500, COMMON), ("pair", 512, 512, 400, COMMON, "3d"),
    ("count", 512, 512, 300, COMMON, "3d"), ("pair", 512, 512, 400, COMMON, "cartoon"), ("count", 512, 512, 300, COMMON, "cartoon"),
    ("pair", 768, 512, 600, COMMON), ("place", 512, 512, 900), ("pair", 512, 512, 1500, WORDED), ("count", 512, 512, 1000, WORDED),
    ("pair", 512, 512, 1500), ("count", 512, 512, 600), ("pair", 768, 512, 600), ("count", 768, 512, 300),
    ("pair", 512, 512, 400, WORDED, "3d"), ("count", 512, 512, 300, WORDED, "3d"), ("pair", 512, 512, 400, WORDED, "cartoon"),
    ("count", 512, 512, 300, WORDED, "cartoon"), ("mixed", 768, 768, 250, COMMON), ("mixed", 1024, 1024, 150, COMMON),
)


class Icons:
    """Icons of the known things at the sizes that scenes need, RGBA."""

    def __init__(self, folder):
        self.folder = folder
        self.things = data.read_names()
        self.pixels, index = data.load_icons(folder)
        self.rows = {(entry["id"], entry["style"]): row for row, entry in enumerate(index)}
        self.common = [number for number, thing in enumerate(self.things) if thing.scene]
        self.worded = [number for number in self.common if self.things[number].paint]
        self.own = {style: [data.own_colour(self.source(n, style)) for n in range(len(self.things))] for style in STYLES}
        self.kept, self.shown = {}, {}

    def source(self, number, style):
        """The picture (SIDE, SIDE, 4) of a thing in a style."""
        icon = self.things[number].icon
        if style == "cartoon":
            return data.load_rgba(os.path.join(self.folder, "cartoon", f"{icon}.png"))
        return self.pixels[self.rows[icon, "solid" if style == "3d" else "flat"]]

    def picture(self, number, side, paint=None, style="flat"):
        """The picture (side, side, 4), its main colour turned into the colour named `paint`."""
        key = (number, side, paint, style)
        if key not in self.kept:
            if side > data.SIDE and style == "flat":
                image = Image.open(os.path.join(self.folder, "large", f"{self.things[number].icon}.png")).convert("RGBA")
            else:
                image = Image.fromarray(self.source(number, style))
            if image.size != (side, side):
                image = image.resize((side, side), Image.Resampling.LANCZOS)
            rgba = np.asarray(image)
            self.kept[key] = rgba if paint in (None, self.own[style][number]) else data.repaint(rgba, data.PAINTS[paint])
            if len(self.kept) > 400:
                self.kept.pop(next(iter(self.kept)))
        return self.kept[key]

    def takes(self, number, paint, style="flat"):
        """Whether the recoloured thing has that colour to the eye; white and many-coloured things mostly do not."""
        key = number, paint, style
        if key not in self.shown:
            self.shown[key] = picture_colour(data.over(self.picture(number, 128, paint, style))) == paint
        return self.shown[key]

    def facts(self, number, paint=None, style="flat"):
        """What is said of one thing."""
        return {"thing": number, "colour": paint or self.own[style][number], "painted": paint is not None}

    def pick(self, rng, common=False, style="flat"):
        """A random thing, or a random one of the common things, and often, where it has any, a colour that is not its own."""
        number, share = (rng.choice(self.common), 0.5) if common else (rng.randrange(len(self.things)), 0.4)
        if not self.things[number].paint or rng.random() >= share:
            return number, None
        return number, rng.choice([word for word in data.PAINTS if word != self.own[style][number]])


def canvas(width, height, ground, parts):
    """RGB picture: a plain ground named `ground` (None: white) with RGBA parts [(rgba, left, top)] laid on it in order."""
    picture = Image.new("RGB", (width, height), data.GROUNDS[ground] if ground else (255, 255, 255))
    for rgba, left, top in parts:
        part = Image.fromarray(np.ascontiguousarray(rgba))
        picture.paste(part.convert("RGB"), (left, top), part.getchannel("A"))
    return np.asarray(picture)


def slots(count, width, height):
    """The side of `count` things on a canvas and their left top corners, all multiples of CELL, in reading order."""
    if count == 3 and max(width, height) < 1.4 * min(width, height):  # a triangle
        side = min(width, height) // 2 // CELL * CELL
        top = (height - 2 * side) // 2 // CELL * CELL
        left = (width - 2 * side) // 2 // CELL * CELL
        return side, [((width - side) // 2 // CELL * CELL, top), (left, top + side), (left + side, top + side)]
    shapes = [(columns, -(-count // columns)) for columns in range(1, count + 1) if count % columns == 0]
    columns, rows = max(shapes, key=lambda shape: (min(width // shape[0], height // shape[1]), shape[0]))
    side = min(width // columns, height // rows) // CELL * CELL
    left = (width - side * columns) // 2 // CELL * CELL
    top = (height - side * rows) // 2 // CELL * CELL
    return side, [(left + side * column, top + side * row) for row in range(rows) for column in range(columns)]


def one(icons, number, paint, ground, width, height, style="flat"):
    """A thing as large as the short side, in the middle."""
    side = min(width, height)
    part = icons.picture(number, side, paint, style), (width - side) // 2, (height - side) // 2
    return canvas(width, height, ground, [part]), {"kind": "one", **icons.facts(number, paint, style), "ground": ground, "style": style}


def plain(icons, number, style, rng):
    """The thing on white: as it is, mirrored, and smaller beside the middle."""
    rgba, fact = icons.picture(number, 512, None, style), {"kind": "one", **icons.facts(number, None, style), "ground": None, "style": style}
    moved = data.place(rgba, rng.uniform(0.75, 0.95), rng.randint(-32, 32), rng.randint(-32, 32))
    yield data.over(rgba), fact
    yield data.over(rgba)[:, ::-1], fact
    yield data.over(moved), fact


def every(icons, kind, rng):
    """Every thing at 512x512 in every way of a kind: plain, painted or ground; styled is all three in the styles that are not flat."""
    for number, thing in enumerate(icons.things):
        if kind == "painted":
            for word in data.PAINTS:
                if thing.paint and word != icons.own["flat"][number]:
                    yield one(icons, number, word, None, 512, 512)
        elif kind == "ground":
            for ground in rng.sample(sorted(data.GROUNDS), 3):
                yield one(icons, number, None, ground, 512, 512)
        elif kind == "styled":
            for style in STYLES[1:]:
                yield from plain(icons, number, style, rng)
                yield one(icons, number, None, rng.choice(sorted(data.GROUNDS)), 512, 512, style)
                words = [word for word in sorted(data.PAINTS) if thing.paint and icons.takes(number, word, style)]
                for word in rng.sample(words, min(4, len(words))):
                    yield one(icons, number, word, None, 512, 512, style)
        else:
            yield from plain(icons, number, "flat", rng)


def layout_of(width, height, rng):
    """"beside" or "above", as the canvas suggests, with the side and the left top corners of two things."""
    layout = "beside" if width > height else "above" if height > width else rng.choice(("beside", "beside", "above"))
    side, corners = slots(2, width, height)
    if width == height:  # slots prefers one row
        middle = (width - side) // 2 // CELL * CELL
        corners = [(0, middle), (side, middle)] if layout == "beside" else [(middle, 0), (middle, side)]
    return layout, side, corners


def worded(icons, style, rng):
    """A ground and two different things, each in a colour that is neither the other's nor the ground's: ground, [(number, paint)]."""
    while True:
        ground = rng.choice(sorted(data.GROUNDS))
        paints = rng.sample(sorted(set(data.PAINTS) - set(ground.split())), 2)
        things = list(zip(rng.sample(icons.worded, 2), paints))
        if all(icons.takes(*thing, style) for thing in things):
            return ground, things


def composed(icons, kind, width, height, pool, style, rng):
    """One random picture of a kind: mixed (a single thing), ground (the same, never on white), count, pair or place."""
    if pool == WORDED:
        ground, ((number, paint), (other, other_paint)) = worded(icons, style, rng)
    else:
        coloured = rng.random() < (0.4 if pool else 0.25) or kind == "ground"
        ground = rng.choice(sorted(data.GROUNDS)) if coloured else None
        number, paint = icons.pick(rng, bool(pool), style)
    if kind in ("mixed", "ground"):
        return one(icons, number, paint, ground, width, height, style)
    said = {"kind": kind, "ground": ground, "style": style}
    if kind == "place":
        where = rng.choice(list(PLACES))
        side = min(width, height) // 2 // CELL * CELL
        across, down = PLACES[where]
        left, top = (round(share * (room - side) / CELL) * CELL for share, room in ((across, width), (down, height)))
        part = icons.picture(number, side, paint, style), left, top
        return canvas(width, height, ground, [part]), {**said, "where": where, **icons.facts(number, paint, style)}
    if kind == "count":
        count = rng.choice((2, 2, 3, 3, 4))
        side, corners = slots(count, width, height)
        parts = [(icons.picture(number, side, paint, style), *corner) for corner in corners]
        return canvas(width, height, ground, parts), {**said, "count": count, **icons.facts(number, paint, style)}
    if pool != WORDED:
        other = number
        while other == number:
            other, other_paint = icons.pick(rng, bool(pool), style)
    layout, side, corners = layout_of(width, height, rng)
    things = ((number, paint), (other, other_paint))
    parts = [(icons.picture(thing, side, colour, style), *corner) for (thing, colour), corner in zip(things, corners)]
    return canvas(width, height, ground, parts), {**said, "layout": layout, "pair": [icons.facts(*what, style) for what in things]}


def pictures(icons, step):
    """Yields (RGB uint8 (height, width, 3), fact) for PLAN[step]; the same ones whenever it is asked."""
    kind, width, height, count, *rest = PLAN[step]
    pool, style = [*rest, *(None, "flat")[len(rest):]]
    rng = random.Random(1000 + step)
    if count is None:
        yield from every(icons, kind, rng)
    else:
        for _ in range(count):
            yield composed(icons, kind, width, height, pool, style, rng)
