"""Writes the model as a diffusers folder of fp16 safetensors, in one move, so that a reader never sees half of it."""
import argparse
import json
import os
import shutil

import torch
from diffusers import AutoencoderKL, __version__
from safetensors.torch import load_file, save_file

from unet import create_models

SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler", "_diffusers_version": __version__, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "beta_start": 0.00085, "interpolation_type": "linear", "num_train_timesteps": 1000, "prediction_type": "v_prediction",
    "steps_offset": 1, "timestep_spacing": "linspace", "use_karras_sigmas": False,
}
INDEX = {
    "_class_name": "StableDiffusionPipeline", "_diffusers_version": __version__, "feature_extractor": [None, None],
    "requires_safety_checker": False, "safety_checker": [None, None], "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
}
LIMIT = 40_000_000  # bytes of the whole folder


def write_json(value, *path):
    with open(os.path.join(*path), "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2) + "\n")


def with_usual_names(path):
    """Puts "text_model." before the names, where every published text encoder has it and transformers 5 has not."""
    tensors = {name if name.startswith("text_model.") else f"text_model.{name}": value for name, value in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder of unet.pt and vae-sharp/, or what came before it: vae-decoder/, vae-final/")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--checkpoint", default="unet.pt")
    args = parser.parse_args()
    draft = args.to + ".new"
    shutil.rmtree(draft, ignore_errors=True)
    os.makedirs(os.path.join(draft, "scheduler"))
    unet, text = create_models()
    state = torch.load(os.path.join(args.out, args.checkpoint), map_location="cpu")
    torch.nn.ModuleDict({"unet": unet, "text": text}).load_state_dict(state["average"])
    # Plain memory order: safetensors holds no other.
    unet.to(memory_format=torch.contiguous_format).half().save_pretrained(os.path.join(draft, "unet"))
    text.half().save_pretrained(os.path.join(draft, "text_encoder"))
    with_usual_names(os.path.join(draft, "text_encoder", "model.safetensors"))
    trained = [os.path.join(args.out, name) for name in ("vae-sharp", "vae-decoder", "vae-final")]
    vae = AutoencoderKL.from_pretrained(next(folder for folder in trained if os.path.exists(folder)))
    vae.register_to_config(_name_or_path="easel-tiny")
    vae.half().save_pretrained(os.path.join(draft, "vae"))
    shutil.copytree(args.tokenizer, os.path.join(draft, "tokenizer"), copy_function=shutil.copyfile)
    write_json(SCHEDULER, draft, "scheduler", "scheduler_config.json")
    write_json(INDEX, draft, "model_index.json")
    size = 0
    for folder, _, files in os.walk(draft):
        os.chmod(folder, 0o755)
        size += sum(os.path.getsize(os.path.join(folder, file)) for file in files)
    if size > LIMIT:
        raise SystemExit(f"{size} bytes is over the limit of {LIMIT}")
    old = args.to + ".old"
    shutil.rmtree(old, ignore_errors=True)
    if os.path.exists(args.to):
        os.rename(args.to, old)
    os.rename(draft, args.to)
    shutil.rmtree(old, ignore_errors=True)
    print(f"step {state['step']}: {size / 1e6:.1f} MB in {args.to}")


if __name__ == "__main__":
    main()
