"""Writes test/fixtures/control/canny.json: pictures, and what OpenCV makes of them.

    pip install opencv-python-headless numpy
    python tools/references/canny.py
"""
import base64
import json
import pathlib

import cv2
import numpy as np


def encode(array):
    return base64.b64encode(np.ascontiguousarray(array, dtype=np.uint8).tobytes()).decode()


def picture(width, height, seed):
    """Shapes, a slope of colours and a little noise: edges of all directions and strengths."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 // width, y * 255 // height, (x + y) * 127 // (width + height)], -1)
    image = image.astype(np.uint8).copy()
    for _ in range(7):
        colour = [int(value) for value in random.integers(0, 256, 3)]
        centre = (int(random.integers(0, width)), int(random.integers(0, height)))
        cv2.circle(image, centre, int(random.integers(3, 18)), colour, -1, cv2.LINE_AA)
        corner = (int(random.integers(0, width)), int(random.integers(0, height)))
        cv2.line(image, centre, corner, colour, int(random.integers(1, 4)), cv2.LINE_AA)
    noise = random.integers(-6, 7, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def main():
    cases = []
    for width, height, seed, low, high in [(64, 64, 1, 100, 200), (61, 83, 2, 30, 90), (90, 47, 3, 200, 100)]:
        image = picture(width, height, seed)
        cases.append({
            'width': width, 'height': height, 'low': low, 'high': high,
            'image': encode(image), 'edges': encode(cv2.Canny(image, low, high) // 255),
        })
    source = picture(61, 83, 2)
    resized = []
    for width, height in [(30, 41), (23, 50), (122, 166), (100, 100)]:
        shrinks = width * height < 61 * 83
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        resized.append({
            'width': width, 'height': height,
            'image': encode(cv2.resize(source, (width, height), interpolation=how)),
        })
    grey = cv2.cvtColor(source, cv2.COLOR_RGB2GRAY)
    otsu, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    target = pathlib.Path(__file__).parents[2] / 'test/fixtures/control/canny.json'
    target.write_text(json.dumps({
        'about': f'OpenCV {cv2.__version__}; tools/references/canny.py. Rows of bytes in base64, edges 0 or 1.',
        'edges': cases,
        'resize': {'source': {'width': 61, 'height': 83, 'image': encode(source)}, 'results': resized},
        'otsu': {'grey': encode(grey), 'threshold': int(otsu)},
    }) + '\n')


main()
