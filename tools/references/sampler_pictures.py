"""Pictures of sd15-tiny by every sampler, made with k-diffusion's and diffusers' own samplers.

usage: python tools/references/sampler_pictures.py OUT.safetensors
Needs torch, diffusers, k-diffusion, torchsde, torchdiffeq, scipy and safetensors. Makes the fixture that
test/engine/sampler-pictures.test.ts compares whole pictures of the engine with.

The network, its text contexts and the decoder are torch's. Noise follows A1111's description (Philox, Brownian tree).
Restart, LCM and DDIM CFG++ are in neither package as A1111 has them, so their papers' algorithms are written out here.
"""
import importlib.util
import math
import sys
import types
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, UNet2DConditionModel, UniPCMultistepScheduler
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).resolve().parents[2] / "test/fixtures/models"
SEED, STEPS, GUIDANCE, SHAPE = 42, 20, 7.0, (4, 8, 8)
M32 = 0xFFFFFFFF


def load_sampling():
    """k_diffusion/sampling.py without the rest of the package, which wants training libraries."""
    package = importlib.util.find_spec("k_diffusion").submodule_search_locations[0]
    sys.modules["k_diffusion"] = types.ModuleType("k_diffusion")
    sys.modules["k_diffusion"].__path__ = [package]
    sys.modules["k_diffusion.utils"] = utils = types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]
    sys.modules["k_diffusion"].utils = utils
    spec = importlib.util.spec_from_file_location("k_diffusion.sampling", f"{package}/sampling.py")
    sampling = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sampling)
    return sampling


# ---- noise ----------------------------------------------------------------------------------------------------------

def philox_normals(seed, call, count):
    """Philox 4x32-10 and Box-Muller as A1111's "NV" source has them: `count` float32 normals."""
    scale = np.float32(2.3283064e-10 * 6.2831855).astype(np.float64)
    c = [np.full(count, v, np.uint64) for v in (call & M32, 0)] + [np.arange(count, dtype=np.uint64), np.zeros(count, np.uint64)]
    k0, k1 = seed & M32, (seed >> 32) & M32
    for r in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        k0r, k1r = np.uint64((k0 + r * 0x9E3779B9) & M32), np.uint64((k1 + r * 0xBB67AE85) & M32)
        low = np.uint64(M32)
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ k0r, p1 & low, (p0 >> np.uint64(32)) ^ c[3] ^ k1r, p0 & low]
    u = c[0] * 2.0 ** -32 + 2.0 ** -33
    v = c[1] * scale + np.float64(np.float32(scale / 2))
    return (np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32)


class Philox:
    def __init__(self, seed):
        self.seed, self.calls = seed, 0

    def next(self, *_):
        self.calls += 1
        return torch.from_numpy(philox_normals(self.seed, self.calls - 1, math.prod(SHAPE))).reshape(1, *SHAPE)


class BrownianTree:
    """A1111's Brownian noise: torchsde's tree, its normals from fresh Philox generators (noise of one picture)."""

    def __init__(self, seed, sigmas):
        positive = [float(s) for s in sigmas if s > 0]
        self.seed, self.span = seed, (round(min(positive), 6), round(max(positive), 6))
        root = self.normals(self.state(None)) * np.float32(math.sqrt(self.span[1] - self.span[0]))
        self.known = {self.span: root}

    def normals(self, seed):
        return philox_normals(seed, 0, math.prod(SHAPE))

    def state(self, spawn_key):
        key = {} if spawn_key is None else {"spawn_key": spawn_key}
        return int(np.random.SeedSequence(entropy=self.seed, pool_size=24, **key).generate_state(1)[0])

    def increment(self, a, b, node, key=0, depth=0):
        """Sum of the increments of the largest nodes that cover [a, b] within `node`."""
        start, end = node
        if a <= start and b >= end:
            return self.known[node]
        middle = round((start + end) / 2, 6)
        left, right = (start, middle), (middle, end)
        if left not in self.known:
            whole, l, r = self.known[node], middle - start, end - middle
            noise = self.normals(self.state((key, depth)))
            lefts = whole * np.float32(l) * np.float32(1 / (end - start)) + np.float32(math.sqrt(l * r / (end - start))) * noise
            self.known[left], self.known[right] = lefts, whole - lefts
        total = np.zeros(math.prod(SHAPE), np.float32)
        if a < middle:
            total = total + self.increment(a, min(b, middle), left, 2 * key, depth + 1)
        if b > middle:
            total = total + self.increment(max(a, middle), b, right, 2 * key + 1, depth + 1)
        return total

    def __call__(self, sigma, sigma_next):
        a, b = sorted(min(max(round(float(s), 6), self.span[0]), self.span[1]) for s in (sigma, sigma_next))
        values = self.increment(a, b, self.span) / math.sqrt(abs(float(sigma_next) - float(sigma)))
        sign = -1 if float(sigma_next) < float(sigma) else 1
        return torch.from_numpy((sign * values).astype(np.float32)).reshape(1, *SHAPE)


# ---- the model ------------------------------------------------------------------------------------------------------

class Model:
    """sd15-tiny with classifier-free guidance, as epsilon at a timestep and as k-diffusion's denoiser."""

    def __init__(self):
        self.unet = UNet2DConditionModel.from_pretrained(FIXTURES / "sd15-tiny/unet", torch_dtype=torch.float32)
        self.vae = AutoencoderKL.from_pretrained(FIXTURES / "sd15-tiny/vae", torch_dtype=torch.float32)
        texts = load_file(FIXTURES / "references/sd15-tiny-txt2img.safetensors")
        self.context = torch.cat([texts["cond"], texts["uncond"]]).float()
        betas = np.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2
        self.alphas = np.cumprod(1 - betas).astype(np.float32)
        self.sigmas = np.sqrt((1 - self.alphas) / self.alphas).astype(np.float32)
        self.log_sigmas = np.log(self.sigmas)

    def both(self, x, t):
        with torch.no_grad():
            times = torch.full((2,), float(t))
            cond, uncond = self.unet(torch.cat([x, x]), times, encoder_hidden_states=self.context).sample.chunk(2)
        return cond, uncond

    def eps(self, x, t):
        cond, uncond = self.both(x, t)
        return uncond + GUIDANCE * (cond - uncond)

    def sigma_to_t(self, sigma):
        return np.interp(math.log(float(sigma)), self.log_sigmas, np.arange(1000))

    def t_to_sigma(self, t):
        return float(np.exp(np.interp(t, np.arange(1000), self.log_sigmas)))

    def __call__(self, x, sigma, **_):
        s = float(sigma.flatten()[0]) if torch.is_tensor(sigma) else float(sigma)
        return x - s * self.eps(x / math.sqrt(s * s + 1), self.sigma_to_t(s))

    def picture(self, latents):
        with torch.no_grad():
            pixels = self.vae.decode(latents / self.vae.config.scaling_factor).sample[0]
        # Truncated, as A1111 does.
        return ((pixels / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).contiguous()


# ---- samplers of neither package ------------------------------------------------------------------------------------

def heun_step(model, x, sigma, sigma_next):
    slope = (x - model(x, sigma)) / sigma
    ahead = x + slope * (sigma_next - sigma)
    if sigma_next == 0:
        return ahead
    return x + (slope + (ahead - model(ahead, sigma_next)) / sigma_next) / 2 * (sigma_next - sigma)


def restart(k, model, x, sigmas, noise):
    """Xu et al., arXiv:2306.14878, with A1111's plan for 20 to 35 steps: nine of them for one restart from 0.1 to 2."""
    low, high, count = 0.1, 2.0, 9
    first = k.get_sigmas_karras(len(sigmas) - 1 - count, float(sigmas[-2]), float(sigmas[0])).tolist()
    at_low, at_high = (min(range(len(first)), key=lambda i: abs(first[i] - level)) for level in (low, high))
    again = k.get_sigmas_karras(count + 1, first[at_low], first[at_high]).tolist()[:-1]
    for i in range(at_low):
        x = heun_step(model, x, first[i], first[i + 1])
    x = x + noise() * math.sqrt(again[0] ** 2 - first[at_low] ** 2)
    for sigma, sigma_next in zip(again, again[1:]):
        x = heun_step(model, x, sigma, sigma_next)
    reached = again[-1]
    for i in range(at_low, len(first) - 1):
        if first[i] > reached:
            x = x + noise() * math.sqrt(first[i] ** 2 - reached ** 2)
        x = heun_step(model, x, first[i], first[i + 1])
        reached = first[i + 1]
    return x


def lcm(model, x, noise):
    """Luo et al., arXiv:2310.04378, algorithm 3, over 50 of 1,000 timesteps; boundary scaling of its appendix with timestep scaling 10."""
    times = np.arange(19, 1000, 20)
    logs = np.log(model.sigmas[times])
    levels = np.exp(np.interp(np.linspace(49, 0, STEPS), np.arange(50), logs)).astype(np.float32)
    sigmas = [*levels.tolist(), 0.0]
    x = x * sigmas[0]
    for sigma, sigma_next in zip(sigmas, sigmas[1:]):
        t = int(times[np.abs(logs - math.log(sigma)).argmin()])
        clean = x - sigma * model.eps(x / math.sqrt(sigma * sigma + 1), t)
        skip = 0.25 / ((t * 10.0) ** 2 + 0.25)
        out = (t * 10.0) / math.sqrt((t * 10.0) ** 2 + 0.25)
        x = clean * out + x * skip
        if sigma_next > 0:
            x = x + noise() * sigma_next
    return x


def ddim_cfg_plus_plus(model, x):
    """Chung et al., arXiv:2406.08070; guidance 1 is A1111's 12.5."""
    times = np.arange(0, 1000, 1000 // STEPS) + 1
    for i in reversed(range(1, STEPS)):
        a, b = float(model.alphas[times[i]]), float(model.alphas[times[i - 1]])
        cond, uncond = model.both(x, times[i])
        guided = uncond + (cond - uncond) * GUIDANCE / 12.5
        clean = (x - math.sqrt(1 - a) * guided) / math.sqrt(a)
        x = math.sqrt(b) * clean + math.sqrt(1 - b) * uncond
    return x


def uni_pc(model, x):
    """diffusers' UniPC over A1111's continuous times, which fall evenly from 1 to 1/1000."""
    scheduler = UniPCMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", solver_order=3, solver_type="bh1", final_sigmas_type="zero")
    scheduler.set_timesteps(STEPS)
    times = np.linspace(1, 1 / 1000, STEPS + 1)
    log_alphas = np.interp(times, np.arange(1, 1001) / 1000, np.log(model.alphas.astype(np.float64)) / 2)
    scheduler.sigmas = torch.tensor(np.sqrt(np.expm1(-2 * log_alphas)))
    scheduler.timesteps = torch.tensor((times[:-1] - 1 / 1000) * 1000)
    scheduler.set_begin_index(0)
    for t in scheduler.timesteps:
        x = scheduler.step(model.eps(x.float(), float(t)), t, x).prev_sample
    return x.float()


def along_timesteps(model, scheduler, x, skipped):
    """diffusers' DDIM and PLMS. A1111 ends at the lowest timestep instead of stepping off it: `skipped` steps are left out."""
    scheduler.set_timesteps(STEPS)
    timesteps = scheduler.timesteps
    for t in timesteps[: len(timesteps) - skipped]:
        x = scheduler.step(model.eps(x, int(t)), t, x).prev_sample
    return x


# ---- every sampler --------------------------------------------------------------------------------------------------

def main(out):
    k, model = load_sampling(), Model()
    low, high = float(model.sigmas[0]), float(model.sigmas[-1])
    zero = torch.zeros(1)

    def uniform(n):
        return torch.cat([torch.tensor([model.t_to_sigma(t) for t in np.linspace(999, 0, n)]), zero]).float()

    def karras(n):
        return k.get_sigmas_karras(n, low, high)

    def exponential(n):
        return k.get_sigmas_exponential(n, low, high)

    def without_last(schedule):
        sigmas = schedule(STEPS + 1)
        return torch.cat([sigmas[:-2], sigmas[-1:]])

    schedule = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, set_alpha_to_one=False)
    sde = {"eta": 1.0, "s_noise": 1.0}
    runs = {
        "DPM++ 2M": (k.sample_dpmpp_2m, karras(STEPS), {}),
        "DPM++ SDE": (k.sample_dpmpp_sde, karras(STEPS), sde),
        "DPM++ 2M SDE": (k.sample_dpmpp_2m_sde, exponential(STEPS), {**sde, "solver_type": "midpoint"}),
        "DPM++ 2M SDE Heun": (k.sample_dpmpp_2m_sde, exponential(STEPS), {**sde, "solver_type": "heun"}),
        "DPM++ 2S a": (k.sample_dpmpp_2s_ancestral, karras(STEPS), {"eta": 1.0}),
        "DPM++ 3M SDE": (k.sample_dpmpp_3m_sde, without_last(exponential), sde),
        "Euler a": (k.sample_euler_ancestral, uniform(STEPS), {"eta": 1.0}),
        "Euler": (k.sample_euler, uniform(STEPS), {}),
        "LMS": (k.sample_lms, uniform(STEPS), {}),
        "Heun": (k.sample_heun, uniform(STEPS), {}),
        "DPM2": (k.sample_dpm_2, without_last(karras), {}),
        "DPM2 a": (k.sample_dpm_2_ancestral, without_last(karras), {"eta": 1.0}),
    }
    pictures = {}
    for name, (sampler, sigmas, options) in runs.items():
        rng = Philox(SEED)
        x = rng.next() * sigmas[0]
        if "SDE" in name:
            options = {**options, "noise_sampler": BrownianTree(SEED, sigmas)}
        elif name.endswith(" a"):
            options = {**options, "noise_sampler": rng.next}
        pictures[name] = sampler(model, x, sigmas, disable=True, **options)
    rng = Philox(SEED)
    pictures["DPM fast"] = k.sample_dpm_fast(model, rng.next() * high, low, high, STEPS, disable=True, eta=1.0, noise_sampler=rng.next)
    rng = Philox(SEED)
    # Without noise of its own: with it a relative 1e-7 in the network moves the step sizes, and the picture to 41 dB.
    pictures["DPM adaptive"] = k.sample_dpm_adaptive(model, rng.next() * high, low, high, disable=True, eta=0.0)
    rng = Philox(SEED)
    sigmas = karras(STEPS)
    pictures["Restart"] = restart(k, model, rng.next() * sigmas[0], sigmas, rng.next)
    start = Philox(SEED).next
    pictures["DDIM"] = along_timesteps(model, DDIMScheduler(**schedule, clip_sample=False), start(), 1)
    pictures["DDIM CFG++"] = ddim_cfg_plus_plus(model, Philox(SEED).next())
    pictures["PLMS"] = along_timesteps(model, PNDMScheduler(**schedule, skip_prk_steps=True), Philox(SEED).next(), 1)
    pictures["UniPC"] = uni_pc(model, Philox(SEED).next())
    rng = Philox(SEED)
    pictures["LCM"] = lcm(model, rng.next(), rng.next)
    save_file({name: model.picture(latents) for name, latents in pictures.items()}, out)
    for name, latents in pictures.items():
        print(f"{name:18} mean {latents.mean():8.4f} std {latents.std():8.4f}")


if __name__ == "__main__":
    main(sys.argv[1])
