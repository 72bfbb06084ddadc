#!/usr/bin/env bash
# The whole training on a CPU or a CUDA device: data, autoencoder, latents, UNet and text encoder, export, evaluation.
# usage: tools/train/run.sh WORK_FOLDER [vae minutes] [unet minutes]
# Needs Python 3.11+ with requirements.txt installed and Node 20+. Every stage that is finished is not done again.
set -euo pipefail
tools="$(cd "$(dirname "$0")" && pwd)"
work="${1:?a folder for data and checkpoints, outside the repository}"
vae_minutes="${2:-60}"
unet_minutes="${3:-120}"
tokenizer="${TOKENIZER:-$tools/../../public/models/easel-tiny/tokenizer}"
mkdir -p "$work"
cd "$work"
[ -e package.json ] || cp "$tools/package.json" .
[ -d node_modules ] || npm install --no-audit --no-fund
[ -e icons.json ] || node "$tools/render.mjs"
[ -e run/vae/config.json ] || python "$tools/vae.py" --data . --out run --minutes "$vae_minutes"
[ -e run/latents.npz ] || python "$tools/latents.py" --data . --out run
[ -e run/vae-decoder/config.json ] || python "$tools/vae.py" --data . --out run --minutes "$((vae_minutes / 2))" --decoder-only
python "$tools/unet.py" --out run --tokenizer "$tokenizer" --minutes "$unet_minutes"
python "$tools/export.py" --out run --tokenizer "$tokenizer" --to export
python "$tools/evaluate.py" --model export --data . --sheet sheet.jpg --report report.json
