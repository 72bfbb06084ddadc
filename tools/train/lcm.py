"""Distils a LoRA that lets the UNet draw in four steps without guidance: latent consistency distillation.

Source of the method: Luo et al., "Latent Consistency Models" (arXiv:2310.04378) and "LCM-LoRA" (arXiv:2311.05556). At one of
50 timesteps the student guesses the clean latents; the frozen model, guided, takes one DDIM step to the timestep before, and
the student's own guess from there is what its first guess has to agree with. All guesses are made from v.
"""
import argparse
import copy
import os
import time

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from lora import add_lora, save_lora
from unet import CONTEXT, KINDS, Batches, alphas_cumulative

STRIDE = 20  # between the timesteps, 19 to 999


def clean_of(v, x, a):
    """Clean latents from v at signal variance a: sqrt(a) x - sqrt(1 - a) v."""
    return a.sqrt() * x - (1 - a).sqrt() * v


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--out", required=True, help="folder of latents/; the checkpoint lcm.pt goes there")
    parser.add_argument("--to", required=True, help="safetensors file to write")
    parser.add_argument("--minutes", type=float, required=True, help="whole time of the run, earlier starts included")
    parser.add_argument("--rank", type=int, default=22)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--scale", type=float, default=5.0, help="the guidance that is distilled, within a tenth of it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    teacher = UNet2DConditionModel.from_pretrained(os.path.join(args.model, "unet"), torch_dtype=torch.float32).eval().to(args.device)
    teacher.to(memory_format=torch.channels_last).requires_grad_(False)
    text = CLIPTextModel.from_pretrained(os.path.join(args.model, "text_encoder"), torch_dtype=torch.float32).eval().to(args.device)
    tokenizer = CLIPTokenizer.from_pretrained(os.path.join(args.model, "tokenizer"))
    student = copy.deepcopy(teacher)
    changes = add_lora(student, args.rank)
    live = [part for change in changes.values() for part in (change.down, change.up)]
    student.to(args.device)
    average = copy.deepcopy(changes)
    averages = [part for change in average.values() for part in (change.down, change.up)]
    optimiser = torch.optim.AdamW(live, args.rate, betas=(0.9, 0.99), weight_decay=0)
    path = os.path.join(args.out, "lcm.pt")
    step, spent, losses = 0, 0.0, []
    if os.path.exists(path):
        state = torch.load(path, map_location=args.device)
        for parameters, saved in ((live, state["live"]), (averages, state["averages"])):
            for parameter, value in zip(parameters, saved):
                parameter.data.copy_(value)
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    batches = Batches(args.out, tokenizer, list(KINDS), 7000 + step)
    signal = alphas_cumulative().to(args.device)
    start = time.time() - spent
    saved = time.time()

    def context_of(texts):
        return text(batches.tokens(texts, CONTEXT).to(args.device)).last_hidden_state

    def save():
        state = {"live": live, "averages": averages, "optimiser": optimiser.state_dict(), "step": step, "spent": time.time() - start}
        torch.save(state, path + ".tmp")
        os.replace(path + ".tmp", path)
        about = {"easel.base": "easel-tiny", "easel.steps": str(step), "ss_network_dim": str(args.rank)}
        save_lora(average, args.to, about)

    with torch.no_grad():
        empty = context_of([""])
    while (done := (time.time() - start) / (args.minutes * 60)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / 30) * min(1, (1 - done) / 0.4 + 0.02)
        clean, texts = batches.draw(args.batch)
        clean = clean.to(args.device)
        count = len(clean)
        slots = torch.randint(1, 1000 // STRIDE, (count,)).to(args.device)
        # The four-step run begins at the last timestep, so that one is asked for more often.
        slots[torch.rand(count) < 0.15] = 1000 // STRIDE - 1
        times, before = slots * STRIDE + STRIDE - 1, slots * STRIDE - 1
        a, a_before = signal[times][:, None, None, None], signal[before][:, None, None, None]
        noisy = (a.sqrt() * clean + (1 - a).sqrt() * torch.randn_like(clean)).contiguous(memory_format=torch.channels_last)
        with torch.autocast(args.device, dtype=torch.bfloat16):
            with torch.no_grad():
                context = context_of(texts)
                both = teacher(torch.cat([noisy, noisy]), times.repeat(2), torch.cat([context, empty.expand_as(context)])).sample
                having, without = both.float().chunk(2)
                scale = args.scale * (0.9 + 0.2 * torch.rand(count, 1, 1, 1, device=args.device))
                v = without + scale * (having - without)
                guess = clean_of(v, noisy, a)
                noise = (1 - a).sqrt() * noisy + a.sqrt() * v
                earlier = (a_before.sqrt() * guess + (1 - a_before).sqrt() * noise).contiguous(memory_format=torch.channels_last)
                target = clean_of(student(earlier, before, context).sample.float(), earlier, a_before)
            predicted = clean_of(student(noisy, times, context).sample.float(), noisy, a)
        # Pseudo-Huber, as published, so that single wild targets do not count for much.
        loss = (((predicted - target) ** 2 + 1e-2) ** 0.5 - 1e-1).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(live, 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(averages, live, 1 - min(0.99, (1 + step) / (10 + step)))
        losses.append(loss.item())
        if step % 25 == 0:
            print(f"{step} {time.time() - start:.0f}s loss {sum(losses[-25:]) / 25:.4f}", flush=True)
        if time.time() - saved > 120:
            saved = time.time()
            save()
    save()


if __name__ == "__main__":
    main()
