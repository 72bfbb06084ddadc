"""Draws pictures with a trained checkpoint or an exported folder, through diffusers' own scheduler."""
import argparse
import os

import numpy as np
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

CONTEXT = 77
PROMPTS = (
    "a red apple, 3d", "pizza", "a cat, masterpiece, best quality", "sun", "a rocket, flat icon", "a blue butterfly", "guitar", "snowman",
    "a cup of coffee", "a green dragon", "strawberry", "house", "crying face", "trophy", "a tree on a blue background", "octopus",
    "a purple car", "a yellow star", "heart", "penguin, 3d", "a photo of a dog", "rose", "robot", "a pink balloon",
    "hamburger", "a red umbrella", "two cats", "three blue stars on a black background", "a cat next to a dog", "an apple above a pear",
    "a small house in the middle", "a woman",
)


class Model:
    """The four parts of an exported folder, ready to draw."""

    def __init__(self, folder, lora=None, half=False):
        self.text = CLIPTextModel.from_pretrained(os.path.join(folder, "text_encoder"), torch_dtype=torch.float32).eval()
        self.unet = UNet2DConditionModel.from_pretrained(os.path.join(folder, "unet"), torch_dtype=torch.float32).eval()
        self.vae = AutoencoderKL.from_pretrained(os.path.join(folder, "vae"), torch_dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(os.path.join(folder, "tokenizer"))
        self.scheduler = EulerDiscreteScheduler.from_pretrained(os.path.join(folder, "scheduler"))
        if lora:
            self.merge(lora)
        for part in (self.unet, self.vae):
            part.to(memory_format=torch.channels_last)
        self.half = half  # the UNet in bfloat16: twice as fast on processors that have it

    def merge(self, path):
        """Adds a LoRA with kohya's names to the UNet's weights at strength 1."""
        tensors = load_file(path)
        for module, layer in self.unet.named_modules():
            name = "lora_unet_" + module.replace(".", "_")
            if f"{name}.alpha" in tensors:
                up, down = tensors[f"{name}.lora_up.weight"].float(), tensors[f"{name}.lora_down.weight"].float()
                change = up.flatten(1) @ down.flatten(1) * (tensors[f"{name}.alpha"].float() / down.shape[0])
                layer.weight.data += change.reshape(layer.weight.shape)

    def encode(self, prompts):
        """Context (n, 77, width) of the prompts."""
        ids = self.tokenizer(list(prompts), padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt").input_ids
        return self.text(ids).last_hidden_state

    @torch.no_grad()
    def draw(self, prompts, *, negative="", steps=20, scale=5.0, seed=1, width=512, height=512):
        """uint8 pictures (n, height, width, 3); the n-th uses seed + n."""
        self.scheduler.set_timesteps(steps)
        latents = self.noise(len(prompts), seed, width, height) * self.scheduler.init_noise_sigma
        return self.decode(self.denoise(latents, prompts, negative, scale, self.scheduler.timesteps))

    @torch.no_grad()
    def draw_hires(self, prompts, *, negative="", steps=20, scale=5.0, seed=1, width=1024, height=1024, strength=0.4):
        """A first picture of half the sides, or with a short side of 512 where that is more, enlarged and drawn on from `strength` of the noise levels."""
        share = max(0.5, 512 / min(width, height))
        small = self.draw(prompts, negative=negative, steps=steps, scale=scale, seed=seed, width=round(width * share), height=round(height * share))
        large = [np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)) for picture in small]
        return self.draw_over(large, prompts, negative=negative, steps=steps, scale=scale, seed=seed, strength=strength)

    @torch.no_grad()
    def draw_over(self, pictures, prompts, *, negative="", steps=20, scale=5.0, seed=1, strength=0.75, keep=None):
        """Draws on from uint8 pictures of one size and `strength` of the noise levels; where `keep` (height, width) is 1 they stay."""
        height, width = pictures[0].shape[:2]
        clean, noise = self.latents(pictures), self.noise(len(prompts), seed, width, height)
        self.scheduler.set_timesteps(steps)
        first = steps - round(steps * strength)
        latents = clean + noise * self.scheduler.sigmas[first]
        self.scheduler.set_begin_index(first)
        cells = None if keep is None else torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(keep)[None, None].float(), latents.shape[2:])
        held = None if keep is None else (clean, noise, cells)
        drawn = self.decode(self.denoise(latents, prompts, negative, scale, self.scheduler.timesteps[first:], held))
        return drawn if keep is None else np.where(keep[None, :, :, None] > 0.5, np.stack(pictures), drawn)

    def velocity(self, latents, time, context):
        """The UNet's v for scaled latents."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return self.unet(latents, time, context).sample.float()

    def denoise(self, latents, prompts, negative, scale, times, held=None):
        """Euler steps with guidance over the times of the scheduler, which is set to them; `held` is (latents, noise, share that stays)."""
        context = torch.cat([self.encode([negative] * len(prompts)), self.encode(prompts)])
        for time in times:
            doubled = self.scheduler.scale_model_input(torch.cat([latents, latents]), time)
            without, having = self.velocity(doubled, time, context).chunk(2)
            latents = self.scheduler.step(without + scale * (having - without), time, latents).prev_sample
            if held:
                clean, noise, share = held
                latents = share * (clean + noise * self.scheduler.sigmas[self.scheduler.step_index]) + (1 - share) * latents
        return latents

    @torch.no_grad()
    def draw_fast(self, prompts, *, steps=4, seed=1, width=512, height=512):
        """The same in a few steps of consistency sampling (arXiv:2310.04378, algorithm 3), for a model with the LCM LoRA."""
        context = self.encode(prompts)
        latents = self.noise(len(prompts), seed, width, height)
        again = torch.Generator().manual_seed(seed)
        times = torch.linspace(49, 0, steps).round().long() * 20 + 19
        for step, time in enumerate(times):
            a = self.scheduler.alphas_cumprod[time].float()
            v = self.velocity(latents, time, context)
            latents = a.sqrt() * latents - (1 - a).sqrt() * v
            if step < steps - 1:
                a = self.scheduler.alphas_cumprod[times[step + 1]].float()
                latents = a.sqrt() * latents + (1 - a).sqrt() * torch.randn(latents.shape, generator=again)
        return self.decode(latents)

    @torch.no_grad()
    def latents(self, pictures):
        """Latents (n, channels, h, w) of uint8 pictures of one size."""
        parts = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().split(4)
        return torch.cat([self.vae.encode(part / 127.5 - 1).latent_dist.mean for part in parts])

    @torch.no_grad()
    def through(self, pictures):
        """The pictures as the autoencoder rebuilds them."""
        return self.decode(self.latents(pictures))

    def noise(self, count, seed, width, height):
        """Standard noise (count, channels, height / factor, width / factor), one seed for each picture."""
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        shape = (self.unet.config.in_channels, height // factor, width // factor)
        return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed + n)) for n in range(count)])

    def decode(self, latents):
        """uint8 pictures (n, height, width, 3)."""
        decoded = [self.vae.decode(part).sample for part in latents.split(4)]
        pictures = (torch.cat(decoded).clamp(-1, 1) + 1) * 127.5
        return pictures.round().byte().permute(0, 2, 3, 1).numpy()


def sheet(pictures, labels, columns=8, side=144):
    """A contact sheet with the prompt under every picture."""
    rows = (len(pictures) + columns - 1) // columns
    canvas = Image.new("RGB", (columns * (side + 8), rows * (side + 36)), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for n, (picture, label) in enumerate(zip(pictures, labels)):
        x, y = n % columns * (side + 8) + 4, n // columns * (side + 36) + 4
        small = Image.fromarray(np.ascontiguousarray(picture))
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        canvas.paste(small, (x + (side - small.width) // 2, y + (side - small.height) // 2))
        words, lines = label.split(), [""]
        for word in words:
            if pen.textlength(f"{lines[-1]} {word}", font) > side:
                lines.append("")
            lines[-1] = f"{lines[-1]} {word}".strip()
        pen.text((x, y + side + 1), "\n".join(lines[:2]), "black", font, spacing=1)
    return canvas


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--image", default="sheet.png")
    parser.add_argument("--prompt", action="append", help="may be given several times; a fixed list without it")
    parser.add_argument("--negative", default="")
    parser.add_argument("--lora", help="the LCM LoRA: four steps without guidance")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--scale", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    prompts = args.prompt or PROMPTS
    model, size = Model(args.model, lora=args.lora), {"seed": args.seed, "width": args.width, "height": args.height}
    if args.lora:
        pictures = model.draw_fast(prompts, **size)
    else:
        pictures = model.draw(prompts, negative=args.negative, steps=args.steps, scale=args.scale, **size)
    sheet(pictures, prompts).save(args.image)


if __name__ == "__main__":
    main()
