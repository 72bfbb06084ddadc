"""The real webuiapi against a running Easel: python with_webuiapi.py PORT"""
import sys

import webuiapi
from PIL import Image, ImageDraw

api = webuiapi.WebUIApi(host="127.0.0.1", port=int(sys.argv[1]), sampler="Euler a", steps=2)
SIZE = {"width": 256, "height": 256, "seed": 5, "prompt": "a red apple, 3d"}


def check(name, is_so):
    print(("ok      " if is_so else "FAILED  ") + name)
    if not is_so:
        sys.exit(1)


api.util_wait_for_ready(check_interval=0.2)
check("progress is idle", api.get_progress()["progress"] == 0)

names = api.util_get_model_names()
check("model names", "easel-tiny" in names)
check("current model", api.util_get_current_model() in names)
check("sampler names", {"Euler a", "DPM++ 2M"} <= set(api.util_get_sampler_names()))
check("scheduler names", "karras" in api.util_get_scheduler_names())
for ask in (
    api.get_upscalers,
    api.get_latent_upscale_modes,
    api.get_sd_vae,
    api.get_loras,
    api.get_hypernetworks,
    api.get_face_restorers,
    api.get_realesrgan_models,
    api.get_prompt_styles,
    api.get_embeddings,
    api.get_memory,
    api.get_cmd_flags,
    api.get_scripts,
):
    check(ask.__name__, isinstance(ask(), (list, dict)))
check("refresh_checkpoints", api.refresh_checkpoints() is None)

options = api.get_options()
options["jpeg_quality"] = 81
check("set_options takes the whole object", api.set_options(options) is None)
check("and keeps it", api.get_options()["jpeg_quality"] == 81)

first = api.txt2img(**SIZE, cfg_scale=5)
check("txt2img gives a picture", first.image.size == (256, 256))
check("info has the seed", first.info["seed"] == 5)
check("parameters are the request", first.parameters["steps"] == 2)
again = api.txt2img(**SIZE, cfg_scale=5)
check("the same seed gives the same picture", again.image.tobytes() == first.image.tobytes())
batch = api.txt2img(**{**SIZE, "seed": 10}, n_iter=2)
check("seeds count up", batch.info["all_seeds"] == [10, 11] and len(batch.images) == 2)

redrawn = api.img2img(images=[first.image], denoising_strength=0.5, **SIZE)
check("img2img", redrawn.image.size == (256, 256) and redrawn.info["denoising_strength"] == 0.5)
mask = Image.new("L", (256, 256), 0)
ImageDraw.Draw(mask).rectangle((0, 0, 127, 255), fill=255)
inpainted = api.img2img(
    images=[first.image],
    mask_image=mask,
    inpainting_fill=1,
    inpaint_full_res=False,
    denoising_strength=0.9,
    **SIZE,
)
right = (192, 0, 256, 256)
check(
    "a mask keeps what is black",
    inpainted.image.crop(right).tobytes() == first.image.crop(right).tobytes(),
)

large = api.txt2img(
    **SIZE, enable_hr=True, hr_scale=2, hr_upscaler=webuiapi.HiResUpscaler.Latent, denoising_strength=0.7
)
check("hires fix", large.image.size == (512, 512))

plot = api.txt2img(
    **SIZE,
    script_name="X/Y/Z Plot",
    script_args=[4, "1,2", [], 6, "3,5", [], 0, "", [], True, True, False, False, 0],
)
check("X/Y/Z plot: the grid and four pictures", len(plot.images) == 5 and plot.image.width > 512)

outpainted = api.img2img(
    images=[first.image],
    denoising_strength=0.8,
    script_name="Outpainting mk2",
    script_args=[None, 64, 4, ["right"], 1, 0.05],
    **SIZE,
)
check("outpainting", outpainted.image.size == (320, 256))

info = api.png_info(first.image)
check("png_info", info.info == first.info["infotexts"][0])
upscaled = api.extra_single_image(image=first.image, upscaler_1=webuiapi.Upscaler.Lanczos, upscaling_resize=2)
check("extra_single_image", upscaled.image.size == (512, 512))
both = api.extra_batch_images(
    images=[first.image, redrawn.image], upscaler_1=webuiapi.Upscaler.Nearest, upscaling_resize=1.5
)
check("extra_batch_images", [image.size for image in both.images] == [(384, 384)] * 2)

check("interrupt", api.interrupt() == {})
check("skip", api.skip() is None)
api.util_set_model("easel-tiny")
api.util_wait_for_ready(check_interval=0.2)
check("util_set_model", "easel-tiny" in api.util_get_current_model())
