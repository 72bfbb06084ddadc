"""Learns the byte-pair vocabulary of the text encoder from the words of prompts: CLIP's kind of tokenizer, 4,096 entries.

The texts are the names of all icons and their keywords, the words of names.txt, and captions as captions.py makes them. Names
and captions count for more than keywords, so that what people type most is one token or two.
"""
import argparse
import json
import os
import random

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

import captions
import data

SIZE = 4096
END = "</w>"
# CLIP's words: letters in a row, single digits, other signs in a row.
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
START_TOKEN, END_TOKEN = "<|startoftext|>", "<|endoftext|>"


def byte_letters():
    """The letter that stands for each byte, in CLIP's order: printable ones stand for themselves, others follow from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]


def texts(folder):
    """Yields the texts to learn from, those of more weight several times."""
    with open(os.path.join(folder, "words.json"), encoding="utf-8") as file:
        for name, keywords in json.load(file):
            yield from [name.replace("_", " ")] * 4
            yield from (keyword.replace("_", " ") for keyword in keywords)
    rng = random.Random(0)
    things = data.read_names()
    kinds = ("one", "one", "one", "place", "count", "pair")
    for _ in range(12_000):
        first, second = ({"thing": n, "colour": rng.choice(list(data.PAINTS)), "painted": rng.random() < 0.3} for n in rng.sample(range(len(things)), 2))
        yield captions.caption(things, {
            "kind": rng.choice(kinds), **first, "pair": [first, second], "layout": rng.choice(("beside", "above")), "count": rng.choice((2, 3, 4)),
            "where": rng.choice(list(captions.WHERE)), "ground": rng.choice([None, *data.GROUNDS]),
        }, rng)
        if rng.random() < 0.2:
            yield captions.empty(rng)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that render.mjs filled")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    learner = Tokenizer(models.BPE(end_of_word_suffix=END))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    letters = byte_letters()
    learner.train_from_iterator(texts(args.data), trainers.BpeTrainer(
        vocab_size=SIZE, min_frequency=2, initial_alphabet=letters, end_of_word_suffix=END, show_progress=False,
    ))
    count = SIZE - 2 - 2 * len(letters)
    merges = [pair if isinstance(pair, (list, tuple)) else pair.split(" ") for pair in json.loads(learner.to_str())["model"]["merges"]][:count]
    if len(merges) < count:
        raise SystemExit(f"only {len(merges)} of {count} merges: there are too few words in {args.data}")
    entries = letters + [letter + END for letter in letters] + ["".join(pair) for pair in merges] + [START_TOKEN, END_TOKEN]
    os.makedirs(args.out, exist_ok=True)

    def write(name, text):
        with open(os.path.join(args.out, name), "w", encoding="utf-8") as file:
            file.write(text + "\n")

    write("vocab.json", json.dumps({entry: number for number, entry in enumerate(entries)}, ensure_ascii=False))
    write("merges.txt", "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]))
    special = {"bos_token": START_TOKEN, "eos_token": END_TOKEN, "pad_token": END_TOKEN, "unk_token": END_TOKEN}
    write("special_tokens_map.json", json.dumps(special, indent=1))
    write("tokenizer_config.json", json.dumps({"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", **special}, indent=1))
    print(f"{len(entries)} entries in {args.out}")


if __name__ == "__main__":
    main()
