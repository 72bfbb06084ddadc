"""Captions as people type prompts: a name, perhaps a colour, a style, a background, and words that say nothing about the picture."""

# Words for the style of a picture. Flat is what a prompt without a style gets; the others are always named.
STYLES = {
    "flat": ("flat", "flat", "flat icon", "flat design", "flat style", "in flat style", "vector art", "2d"),
    "3d": ("3d", "3d", "3d render", "3d icon", "rendered in 3d", "3d style", "3d rendering", "in 3d"),
    "cartoon": ("cartoon", "cartoon", "cartoon style", "in cartoon style", "cartoon drawing", "cartoon icon", "comic style"),
}

MADE = ("render", "icon", "picture", "drawing", "emoji", "image")

# Words that prompts carry whatever they ask for. They appear with every picture, so the model learns to pass over them.
QUALITY = (
    "masterpiece", "best quality", "high quality", "highly detailed", "very detailed", "intricate", "digital art", "beautiful",
    "emoji", "icon", "simple", "minimal", "cute", "trending on artstation", "sharp focus", "4k", "8k", "cinematic lighting",
    "soft lighting", "vibrant", "colorful", "professional", "realistic", "photo", "illustration", "centered", "artwork",
    "award winning", "studio lighting", "clean", "hd", "ultra detailed", "drawing", "painting", "anime style",
)
# Words of negative prompts. A caption of these alone stands for the empty caption, so they do no harm as a negative prompt.
NEGATIVE = (
    "lowres", "bad anatomy", "bad hands", "text", "error", "worst quality", "low quality", "normal quality", "jpeg artifacts",
    "signature", "watermark", "username", "blurry", "ugly", "deformed", "nsfw", "cropped", "out of frame", "extra fingers",
    "mutated", "disfigured", "bad art", "noise", "dark", "grainy", "duplicate", "poorly drawn", "missing fingers",
)
OPENINGS = (
    "a picture of", "an icon of", "a drawing of", "a photo of", "photo of", "an image of", "an emoji of", "an illustration of",
    "a painting of", "a cute", "a single", "a portrait of", "one", "a render of",
)
# Words that no picture explains. They go with every kind of picture, so that a word the model has not met changes nothing;
# without them a model that knows scenes takes it for a number or a place.
FILLERS = (
    "nice", "pretty", "wonderful", "charming", "gorgeous", "elegant", "stunning", "bold", "crisp", "friendly", "funny", "fresh", "shiny",
    "amazing", "classic", "modern", "neat", "perfect", "sweet", "great", "very nice", "really good", "pleasant", "good looking", "fancy",
    "delightful", "adorable", "plain", "stylish", "playful", "hand drawn", "made with care", "drawn by hand", "for my story", "sketch",
    "doodle", "sticker", "logo", "pictogram", "symbol", "graphic", "clip art", "pastel", "watercolor", "pixel perfect", "smooth", "print",
)
SYLLABLES = ("ba", "do", "fe", "gri", "ho", "ka", "lu", "mi", "no", "pra", "qui", "ro", "sta", "ti", "vo", "wen", "za", "ly", "er", "el", "an", "ing")


def filler(rng):
    """Words that say nothing: known ones, or one that nobody knows."""
    return rng.choice(FILLERS) if rng.random() < 0.7 else "".join(rng.choices(SYLLABLES, k=rng.randint(2, 3)))


def article(words, rng):
    """The words with "a", "an", "the" or nothing before them."""
    kind = rng.random()
    if kind < 0.45:
        return words
    if kind < 0.92:
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
    return f"the {words}"


def empty(rng):
    """A caption that asks for nothing: mostly no words, else words of negative prompts or of quality."""
    kind = rng.random()
    if kind < 0.6:
        return ""
    words = NEGATIVE if kind < 0.88 else QUALITY
    return ", ".join(rng.sample(words, rng.randint(1, min(8, len(words)))))


UNCHANGED = {"grapes", "cherries", "french fries", "heart eyes", "thumbs up"}
IRREGULAR = {"mouse": "mice", "man": "men", "woman": "women", "fish": "fish", "snowman": "snowmen"}
NUMBERS = {2: ("two", "two", "two", "2", "a pair of", "a couple of"), 3: ("three", "three", "three", "3"), 4: ("four", "four", "four", "4")}
WHERE = {
    "left": ("on the left", "on the left side", "at the left"), "right": ("on the right", "on the right side", "at the right"),
    "top": ("at the top", "at the top centre"), "bottom": ("at the bottom", "at the bottom centre"),
    "top left": ("in the top left corner", "in the top left", "in the upper left corner"),
    "top right": ("in the top right corner", "in the top right", "in the upper right corner"),
    "bottom left": ("in the bottom left corner", "in the bottom left", "in the lower left corner"),
    "bottom right": ("in the bottom right corner", "in the bottom right", "in the lower right corner"),
    "middle": ("in the middle", "in the centre", "in the center"),
}
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "brown", "white", "golden", "gold")


def plural(name):
    """The English plural of a name: "butterfly" to "butterflies"."""
    *before, last = name.split()
    if name in UNCHANGED:
        return name
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith(("s", "x", "sh", "ch", "ato")):
        last += "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return " ".join([*before, last])


def noun(things, fact, rng, others=0.3):
    """The words for one thing, without an article. A colour that is not its own is always said."""
    thing = things[fact["thing"]]
    words = rng.choice(thing.others) if thing.others and rng.random() < others and not fact["painted"] else thing.name
    own = fact["colour"] and words.split()[0] not in COLOURS
    return f"{fact['colour']} {words}" if fact["painted"] or (own and rng.random() < 0.3) else words


def subject(things, fact, rng):
    """What is in the picture, as the beginning of a prompt would say it."""
    if fact["kind"] == "pair":
        first, second = (article(noun(things, part, rng, 0.1), rng) for part in fact["pair"])
        ways = ("{0} next to {1}", "{0} and {1}", "{0} beside {1}", "{0} and {1} side by side", "{0} to the left of {1}",
                "{1} to the right of {0}", "{0} on the left and {1} on the right", "{0} with {1}")
        if fact["layout"] == "above":
            ways = ("{0} above {1}", "{0} over {1}", "{1} below {0}", "{1} under {0}", "{0} on top of {1}", "{0} and {1}")
        return rng.choice(ways).format(first, second)
    if fact["kind"] == "count":
        words = noun(things, fact, rng, 0)
        return f"{rng.choice(NUMBERS[fact['count']])} {plural(words) if rng.random() < 0.93 else words}"
    words = noun(things, fact, rng)
    if rng.random() < 0.12:
        words = f"{filler(rng)} {words}" if rng.random() < 0.5 else f"{words} {filler(rng)}"
    if fact["kind"] == "place":
        small = rng.random() < (0.9 if fact["where"] == "middle" else 0.4)
        words = f"{rng.choice(('small', 'small', 'tiny', 'little'))} {words}" if small else words
        return f"{article(words, rng)} {rng.choice(WHERE[fact['where']])}"
    return f"{rng.choice(OPENINGS)} {words}" if rng.random() < 0.12 else article(words, rng)


def styled(words, kind, style, rng):
    """The words for what is in the picture and, apart, those for its style, or None where the words name it already."""
    way = rng.random() if kind == "one" else 1
    bare = words.split(" ", 1)[1] if words.startswith(("a ", "an ", "the ")) else words
    if way < 0.25:
        return article(f"{style} {bare}", rng), None
    if way < 0.35 and style != "flat":
        return f"{article(f'{style} {rng.choice(MADE)}', rng)} of {words}", None
    return words, rng.choice(STYLES[style])


def caption(things, fact, rng):
    """One caption of a picture; `fact` is described in scenes.py, `things` are the lines of names.txt."""
    words, parts, ground = subject(things, fact, rng), [], fact["ground"]
    if ground:
        if rng.random() < 0.7:
            words += f" {rng.choice(('on a', 'on a', 'with a', 'in front of a'))} {ground} background"
        else:
            parts.append(f"{ground} background")
    elif rng.random() < 0.12:
        parts.append(rng.choice(("white background", "simple background", "on a white background", "plain background")))
    style = fact.get("style", "flat")
    if style != "flat" or rng.random() < 0.3:
        words, said = styled(words, fact["kind"], style, rng)
        parts += [said] if said else []
    while rng.random() < 0.22:
        parts.append(rng.choice(QUALITY))
    if rng.random() < 0.2:
        word = filler(rng)
        parts.append(f"{article(word, rng)} {rng.choice((f'{style} emoji', 'emoji', 'icon', 'picture', 'drawing'))}" if rng.random() < 0.4 else word)
    rng.shuffle(parts)
    parts.insert(0 if rng.random() < 0.88 else rng.randint(0, len(parts)), words)
    return rng.choice((", ", ", ", ", ", " ")).join(parts)
