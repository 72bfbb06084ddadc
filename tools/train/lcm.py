"""Distils a LoRA that lets the UNet draw in four steps without guidance, for the LCM sampler.

A consistency function (Luo et al., "Latent Consistency Models", arXiv:2310.04378; as a LoRA, arXiv:2311.05556) takes latents at
any time to the end of the frozen, guided model's path from there. The paper learns it from its own guess one step further
along the path. The model is small enough to walk the whole path instead, in a few DDIM steps, and the student learns its
end: guesses that learn from guesses left noise in the pictures, ends do not.
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

STRIDE = 20  # between the 50 timesteps that the sampler knows, 19 to 999
GUIDED_FROM = 300  # below this time the picture is settled, and guidance only makes its areas uneven


def clean_of(v, x, a):
    """Clean latents from v at signal variance a: sqrt(a) x - sqrt(1 - a) v."""
    return a.sqrt() * x - (1 - a).sqrt() * v


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--out", required=True, help="folder of latents/; the checkpoint lcm.pt goes there")
    parser.add_argument("--to", required=True, help="safetensors file to write")
    parser.add_argument("--minutes", type=float, required=True, help="whole time of the run, earlier starts included")
    parser.add_argument("--rank", type=int, default=22, help="of the LoRA while it learns")
    parser.add_argument("--keep", type=int, default=8, help="the rank that is written; of 22, 8 draw what all of them do")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--scale", type=float, default=4.0, help="the guidance that is distilled")
    parser.add_argument("--walk", type=int, default=4, help="DDIM steps from a time to the end of the path")
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
        about = {"easel.base": "easel-tiny", "easel.steps": str(step), "ss_network_dim": str(args.keep)}
        save_lora(average, args.to, about, args.keep)

    with torch.no_grad():
        empty = context_of([""])

    @torch.no_grad()
    def end_of_path(x, times, context):
        """Where the frozen model, guided, takes x (n, c, h, w) from the times (n): clean latents."""
        both = torch.cat([context, empty.expand_as(context)])
        for step in range(args.walk):
            now, then = (times * (args.walk - part) // args.walk for part in (step, step + 1))
            a, a_then = signal[now][:, None, None, None], signal[then][:, None, None, None]
            having, without = teacher(torch.cat([x, x]), now.repeat(2), both).sample.float().chunk(2)
            scale = torch.where(now >= GUIDED_FROM, args.scale, 1.0)[:, None, None, None]
            v = without + scale * (having - without)
            clean = clean_of(v, x, a)
            noise = (1 - a).sqrt() * x + a.sqrt() * v
            x = (a_then.sqrt() * clean + (1 - a_then).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        return clean

    while (done := (time.time() - start) / (args.minutes * 60)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / 30) * min(1, (1 - done) / 0.4 + 0.02)
        clean, texts = batches.draw(args.batch)
        clean = clean.to(args.device)
        count = len(clean)
        times = (torch.randint(0, 1000 // STRIDE, (count,)) * STRIDE + STRIDE - 1).to(args.device)
        # Every run begins at the last time, so that one is asked for more often.
        times[torch.rand(count) < 0.2] = 999
        a = signal[times][:, None, None, None]
        noisy = (a.sqrt() * clean + (1 - a).sqrt() * torch.randn_like(clean)).contiguous(memory_format=torch.channels_last)
        with torch.autocast(args.device, dtype=torch.bfloat16):
            with torch.no_grad():
                context = context_of(texts)
            target = end_of_path(noisy, times, context)
            predicted = clean_of(student(noisy, times, context).sample.float(), noisy, a)
        # Pseudo-Huber, as in the paper, so that single wild targets do not count for much.
        loss = (((predicted - target) ** 2 + 1e-2) ** 0.5 - 1e-1).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(live, 1.0)
        optimiser.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(averages, live, 1 - min(0.98, (1 + step) / (10 + step)))
        losses.append(loss.item())
        if step % 25 == 0:
            print(f"{step} {time.time() - start:.0f}s loss {sum(losses[-25:]) / 25:.4f}", flush=True)
        if time.time() - saved > 120:
            saved = time.time()
            save()
    save()


if __name__ == "__main__":
    main()
