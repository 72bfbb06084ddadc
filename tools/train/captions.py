"""Captions as people type prompts: a name, perhaps a colour, a style, a background, and words that say nothing about the picture."""

# The pictures have one style, so these words name it or do no harm.
STYLES = ("flat", "flat", "flat icon", "flat design", "vector art", "cartoon", "2d", "3d", "3d", "3d render", "3d icon")

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


def caption(thing, colour, painted, ground, rng):
    """One caption of a picture.

    `colour` is the word for its main colour or None, `painted` says that this is not the thing's own colour (then the word
    is always said), `ground` is the background's name, None for white.
    """
    words = rng.choice(thing.others) if thing.others and rng.random() < 0.3 and not painted else thing.name
    own = colour and words.split()[0] not in ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black", "brown", "white", "golden", "gold")
    if painted or (own and rng.random() < 0.3):
        words = f"{colour} {words}"
    opening = rng.random()
    words = f"{rng.choice(OPENINGS)} {words}" if opening < 0.12 else article(words, rng)
    parts = []
    if ground:
        if rng.random() < 0.7:
            words += f" {rng.choice(('on a', 'on a', 'with a', 'in front of a'))} {ground} background"
        else:
            parts.append(f"{ground} background")
    elif rng.random() < 0.12:
        parts.append(rng.choice(("white background", "simple background", "on a white background", "plain background")))
    if rng.random() < 0.45:
        parts.append(rng.choice(STYLES))
    while rng.random() < 0.22:
        parts.append(rng.choice(QUALITY))
    rng.shuffle(parts)
    parts.insert(0 if rng.random() < 0.88 else rng.randint(0, len(parts)), words)
    return rng.choice((", ", ", ", ", ", " ")).join(parts)
