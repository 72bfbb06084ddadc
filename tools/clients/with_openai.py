"""OpenAI's own Python client against a running Easel: python with_openai.py PORT"""
import base64
import io
import sys

from openai import BadRequestError, OpenAI
from PIL import Image

client = OpenAI(base_url=f"http://127.0.0.1:{sys.argv[1]}/v1", api_key="unused", max_retries=0)


def check(name, is_so):
    print(("ok      " if is_so else "FAILED  ") + name)
    if not is_so:
        sys.exit(1)


def picture(item):
    return Image.open(io.BytesIO(base64.b64decode(item.b64_json)))


check("models.list", "easel-tiny" in [model.id for model in client.models.list()])
check("models.retrieve", client.models.retrieve("easel-tiny").owned_by == "easel")

extra = {"steps": 2, "seed": 5}
made = client.images.generate(
    model="dall-e-2", prompt="a red apple, 3d", n=2, size="256x256", extra_body=extra
)
check("images.generate", [picture(item).size for item in made.data] == [(256, 256)] * 2)
linked = client.images.generate(
    prompt="a red apple, 3d", size="256x256", response_format="url", extra_body=extra
)
check("an address instead", linked.data[0].url.startswith("http://"))

image = picture(made.data[0]).convert("RGB")
file = io.BytesIO()
image.save(file, "PNG")
mask = Image.new("RGBA", image.size, (0, 0, 0, 255))
mask.paste((0, 0, 0, 0), (128, 0, 256, 256))
mask_file = io.BytesIO()
mask.save(mask_file, "PNG")
edited = client.images.edit(
    image=("image.png", file.getvalue(), "image/png"),
    mask=("mask.png", mask_file.getvalue(), "image/png"),
    prompt="a blue bottle",
    extra_body=extra,
)
result = picture(edited.data[0]).convert("RGB")
left, right = (0, 0, 96, 256), (160, 0, 256, 256)
check("images.edit keeps what the mask covers", result.crop(left).tobytes() == image.crop(left).tobytes())
check("and redraws the rest", result.crop(right).tobytes() != image.crop(right).tobytes())

try:
    client.images.generate(prompt="x", size="9000x9000")
    check("a wrong size is refused", False)
except BadRequestError as error:
    check("a wrong size is refused with a sentence", "4096" in str(error))
