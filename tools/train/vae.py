"""Trains the autoencoder: 512x512 RGB to 16x16 latents of 16 channels and back (factor 32).

Two norm groups, not eight: with a channel or two in a group GroupNorm removes the very offsets
between channels that carry hue, and colour is learnt last. The inner levels are trained first, on
pictures of 128; then the whole on pictures of 512, never on crops, because GroupNorm's statistics
of a crop are not those of a picture.
"""
import argparse
import copy
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

import data
from muon import Muon

CHANNELS = (8, 16, 32, 64, 96, 128)
INNER = 2  # outer levels left out by the inner stage
INNER_SIDE = 512 >> INNER


def create_vae():
    """The untrained autoencoder, begun as a plain one: down means average, up means repeat, residual branches are zero."""
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=16, block_out_channels=CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * 6, up_block_types=("UpDecoderBlock2D",) * 6,
        layers_per_block=1, norm_num_groups=2, sample_size=512, scaling_factor=1.0,
    )
    with torch.no_grad():
        for module in vae.modules():
            kind = module.__class__.__name__
            if kind == "ResnetBlock2D":
                module.conv2.weight.zero_()
                module.conv2.bias.zero_()
                if module.conv_shortcut is not None:
                    torch.nn.init.orthogonal_(module.conv_shortcut.weight)
                    module.conv_shortcut.bias.zero_()
            elif kind in ("Downsample2D", "Upsample2D"):
                same = torch.eye(module.conv.weight.shape[0])
                module.conv.weight.mul_(0.1)
                module.conv.bias.zero_()
                if kind == "Downsample2D":  # padded on the right and below: taps 0 and 1 are the cell's own pixels
                    module.conv.weight[:, :, :2, :2] += same[:, :, None, None] / 4
                else:
                    module.conv.weight[:, :, 1, 1] += same
        # Constant channels for GroupNorm to hold on to: without them it removes the picture's own brightness and hue.
        vae.decoder.conv_in.bias.copy_(torch.randn_like(vae.decoder.conv_in.bias))
        # Latents begin almost noiseless; with the usual variance of 1 the first minutes go into outgrowing the noise.
        vae.quant_conv.weight[16:] *= 0.1
        vae.quant_conv.bias[16:] = -6
    return vae.to(memory_format=torch.channels_last)


class Inner(torch.nn.Module):
    """The four inner levels of an autoencoder with a plain way in and out, trained on pictures of a quarter of the side.

    A picture costs a sixteenth of the time, so shape and hue are learnt in minutes; `grow` then sets the outer levels
    to pass colours through, and the whole goes on from there.
    """

    def __init__(self, vae):
        super().__init__()
        self.vae = vae
        self.way_out = torch.nn.Conv2d(CHANNELS[INNER], 3, 1)

    def encode(self, pictures):
        """(n, 3, INNER_SIDE, INNER_SIDE) in -1..1 to the posterior over (n, 16, 16, 16)."""
        n, _, height, width = pictures.shape
        encoder = self.vae.encoder
        wide = pictures.new_zeros(n, CHANNELS[INNER - 1], height, width).contiguous(memory_format=torch.channels_last)
        wide[:, :3], wide[:, 3] = pictures, 1
        for block in encoder.down_blocks[INNER:]:
            wide = block(wide)
        wide = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(encoder.mid_block(wide))))
        return DiagonalGaussianDistribution(self.vae.quant_conv(wide))

    def decode(self, latents):
        """(n, 16, 16, 16) to (n, 3, INNER_SIDE, INNER_SIDE)."""
        decoder = self.vae.decoder
        wide = decoder.mid_block(decoder.conv_in(self.vae.post_quant_conv(latents)))
        last = len(CHANNELS) - 1 - INNER
        for block in decoder.up_blocks[:last]:
            wide = block(wide)
        for resnet in decoder.up_blocks[last].resnets:
            wide = resnet(wide, None)
        return self.way_out(wide)

    @torch.no_grad()
    def standardise(self, pictures):
        """Scales quant_conv so that the latents of `pictures` have mean 0 and deviation 1."""
        means = self.encode(pictures).mean
        mean, deviation = means.mean((0, 2, 3)), means.std((0, 2, 3))
        conv = self.vae.quant_conv
        conv.weight[:16] /= deviation[:, None, None, None]
        conv.bias[:16] = (conv.bias[:16] - mean) / deviation

    @torch.no_grad()
    def grow(self):
        """Sets the outer levels: colours in channels 0 to 2 and a constant in 3 on the way in, colours in 0 to 2 on the way out."""
        encoder, decoder = self.vae.encoder, self.vae.decoder
        encoder.conv_in.weight.zero_()
        encoder.conv_in.bias.zero_()
        for channel in range(3):
            encoder.conv_in.weight[channel, channel, 1, 1] = 1
        encoder.conv_in.bias[3] = 1
        shortcut = encoder.down_blocks[1].resnets[0].conv_shortcut
        shortcut.weight.zero_()
        shortcut.weight[: CHANNELS[0], :, 0, 0] = torch.eye(CHANNELS[0])
        shortcut = decoder.up_blocks[4].resnets[0].conv_shortcut
        shortcut.weight *= 0.3
        shortcut.weight[:3] = self.way_out.weight
        shortcut.bias[:3] = self.way_out.bias
        shortcut = decoder.up_blocks[5].resnets[0].conv_shortcut
        shortcut.weight.zero_()
        shortcut.weight[:, : CHANNELS[0], 0, 0] = torch.eye(CHANNELS[0])
        for block in decoder.up_blocks[3:5]:
            conv = block.upsamplers[0].conv
            conv.weight.zero_()
            conv.weight[:, :, 1, 1] = torch.eye(conv.weight.shape[0])
        for block in encoder.down_blocks[:2]:
            conv = block.downsamplers[0].conv
            conv.weight.zero_()
            conv.weight[:, :, :2, :2] = torch.eye(conv.weight.shape[0])[:, :, None, None] / 4
        decoder.conv_norm_out.bias.fill_(2)  # SiLU is close to straight there
        decoder.conv_out.weight.mul_(0.1)
        for channel in range(3):
            decoder.conv_out.weight[channel, channel, 1, 1] = 0.6
        decoder.conv_out.bias.fill_(-1.2)


def signal(pictures):
    """uint8 pictures (h, w, 3) of one size as the autoencoder takes them: float (n, 3, h, w) in -1..1, channels last."""
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return batch.contiguous(memory_format=torch.channels_last)


class Batches:
    """Draws training pictures; half of the draws are things that the text-to-image model will be asked for."""

    def __init__(self, folder, seed):
        self.folder = folder
        self.pixels, index = data.load_icons(folder)
        self.rng = np.random.default_rng(seed)
        held = data.held_out_ids()
        known = {thing.icon for thing in data.read_names()}
        rows = [(row, entry) for row, entry in enumerate(index) if entry["id"] not in held]
        self.groups = [
            [row for row, entry in rows if entry["style"] == style and (entry["id"] in known) == wanted]
            for style in ("flat", "solid") for wanted in (True, False)
        ]
        self.held = [row for row, entry in enumerate(index) if entry["id"] in held and entry["style"] == "flat"]

        self.small = None

    def _row(self):
        group = self.groups[self.rng.choice(4, p=[0.35, 0.3, 0.2, 0.15])]
        return group[self.rng.integers(len(group))]

    def batch(self, count, side):
        """`count` whole pictures: float (count, 3, side, side) in -1..1, channels last. `side` is 512 or INNER_SIDE."""
        rng = self.rng
        pixels = self.pixels
        if side != data.SIDE:
            if self.small is None:
                self.small = data.shrunk(self.folder, self.pixels, data.SIDE // side)
            pixels = self.small
        pictures = []
        for _ in range(count):
            ground = rng.integers(0, 256, 3) if rng.random() < 0.25 else (255, 255, 255)
            picture = data.over(pixels[self._row()], ground)
            if rng.random() < 0.1:
                picture = picture[..., rng.permutation(3)]
            pictures.append(picture[:, ::-1] if rng.random() < 0.5 else picture)
        return signal(pictures)


def loss_of(restored, target, posterior):
    """L1, L2, gradients, chroma and an L1 pyramid, with a tiny KL term."""
    error = restored - target
    chroma = error[:, [0, 2]] - error[:, 1:2]
    loss = error.abs().mean() + (error ** 2).mean() + chroma.abs().mean()
    loss = loss + 2 * (F.avg_pool2d(chroma, 8) ** 2).mean()
    loss = loss + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    loss = loss + (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    pooled = error
    for _ in range(5):
        pooled = F.avg_pool2d(pooled, 2)
        loss = loss + 0.5 * pooled.abs().mean()
    return loss + 2e-4 * posterior.kl().float().mean() / posterior.mean[0].numel()


def psnr(vae, batches, count, device):
    """Mean PSNR in dB over held-out flat icons at 512x512 on white; peak 2 because values run from -1 to 1."""
    values = []
    with torch.no_grad():
        for row in batches.held[:count]:
            picture = torch.from_numpy(data.over(batches.pixels[row])).permute(2, 0, 1)[None].float().to(device) / 127.5 - 1
            restored = vae.decode(vae.encode(picture).latent_dist.mean).sample.clamp(-1, 1)
            values.append(10 * np.log10(4 / F.mse_loss(restored, picture).item()))
    return float(np.mean(values))


def train(model, trained, batches, args, *, minutes, side, count, rate, floor=0.01, learn_encoder=True, on_save=None):
    """Minimises loss_of for `minutes` with a rate that falls to zero; returns the averaged copy of `model`."""
    average = copy.deepcopy(model).eval()
    pairs = list(average.parameters()), list(model.parameters())
    optimiser = Muon(trained, rate, rate / 8)
    start, saved, step, losses = time.time(), time.time(), 0, []
    while (done := (time.time() - start) / (minutes * 60)) < 1:
        optimiser.set_factor(min(1, (step + 1) / 30) * (floor + (1 - floor) * (0.5 + 0.5 * math.cos(math.pi * done))))
        target = batches.batch(count, side).to(args.device)
        with torch.autocast(args.device, dtype=torch.bfloat16):
            with torch.set_grad_enabled(learn_encoder):
                posterior = model.encode(target)
                posterior = getattr(posterior, "latent_dist", posterior)
                sample = posterior.sample()
            restored = model.decode(sample)
            restored = getattr(restored, "sample", restored)
        loss = loss_of(restored.float(), target, posterior)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(*pairs, 1 - min(0.998, (1 + step) / (10 + step)))
        losses.append(F.mse_loss(restored.detach().float(), target).item())
        if step % 50 == 0:
            decibels = 10 * np.log10(4 / np.mean(losses[-50:]))
            print(f"{side} {step} {time.time() - start:.0f}s psnr {decibels:.2f} dB kl {posterior.kl().mean().item():.0f}", flush=True)
        if on_save and time.time() - saved > 150:
            saved = time.time()
            on_save(average, 12)
    return average


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that render.mjs filled")
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--inner-minutes", type=float, default=8)
    parser.add_argument("--minutes", type=float, default=26)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decoder-only", action="store_true", help="train the decoder of out/vae-final further; its latents stay valid")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    os.makedirs(args.out, exist_ok=True)
    scale = 1 if args.device == "cpu" else 8
    batches = Batches(args.data, int(args.decoder_only))
    result = os.path.join(args.out, "vae-decoder" if args.decoder_only else "vae")

    def save(average, count):
        print(f"held out: {psnr(average, batches, count, args.device):.2f} dB", flush=True)
        average.save_pretrained(result)

    if args.decoder_only:
        vae = AutoencoderKL.from_pretrained(os.path.join(args.out, "vae-final")).to(args.device, memory_format=torch.channels_last)
        trained = list(vae.decoder.parameters()) + list(vae.post_quant_conv.parameters())
        average = train(vae, trained, batches, args, minutes=args.minutes, side=512, count=2 * scale, rate=1e-3, learn_encoder=False, on_save=save)
    else:
        inner_file = os.path.join(args.out, "vae-inner.pt")
        inner = Inner(create_vae()).to(args.device, memory_format=torch.channels_last)
        if os.path.exists(inner_file):
            inner.load_state_dict(torch.load(inner_file, map_location=args.device))
        else:
            inner.standardise(batches.batch(64, INNER_SIDE).to(args.device))
            inner = train(inner, list(inner.parameters()), batches, args, minutes=args.inner_minutes, side=INNER_SIDE, count=4 * scale, rate=4e-3, floor=0.3)
            torch.save(inner.state_dict(), inner_file)
        inner.grow()
        vae = inner.vae.train()
        average = train(vae, list(vae.parameters()), batches, args, minutes=args.minutes, side=512, count=2 * scale, rate=3e-3, on_save=save)
    save(average, 1000)


if __name__ == "__main__":
    main()
