#!/usr/bin/env bash
# The whole training on a CPU or a CUDA device: icons, tokenizer, autoencoder, latents, UNet and text encoder (single things,
# then scenes, styles and sizes), export, the LoRA for four steps, evaluation. Minutes may be fractions.
# usage: tools/train/run.sh WORK_FOLDER [autoencoder minutes] [UNet minutes] [LoRA minutes]
# TOKENIZER=folder takes that tokenizer; TRIAL=n takes n pictures of each kind and n prompts, to try all stages in minutes.
# Needs Python 3.11+ with requirements.txt installed and Node 20+. Every stage that is finished is not done again.
set -euo pipefail
tools="$(cd "$(dirname "$0")" && pwd)"
work="${1:?a folder for data and checkpoints, outside the repository}"
vae_minutes="${2:-60}"
unet_minutes="${3:-240}"
lcm_minutes="${4:-30}"
share() { python -c "import sys; print(float(sys.argv[1]) * float(sys.argv[2]))" "$@"; }
mkdir -p "$work"
cd "$work"
[ -e package.json ] || cp "$tools/package.json" .
[ -d node_modules ] || npm install --no-audit --no-fund
[ -e words.json ] || node "$tools/render.mjs"
tokenizer="${TOKENIZER:-tokenizer}"
[ -e "$tokenizer/vocab.json" ] || python "$tools/tokenizer.py" --data . --out "$tokenizer"
[ -e run/vae/config.json ] ||
  python "$tools/vae.py" --data . --out run --inner-minutes "$(share "$vae_minutes" 0.2)" --minutes "$(share "$vae_minutes" 0.4)"
python "$tools/latents.py" --data . --out run ${TRIAL:+--limit "$TRIAL"}
[ -e run/vae-decoder/config.json ] ||
  python "$tools/vae.py" --data . --out run --minutes "$(share "$vae_minutes" 0.2)" --decoder-only
[ -e run/vae-sharp/config.json ] || python "$tools/sharpen.py" --data . --out run --minutes "$(share "$vae_minutes" 0.2)"
python "$tools/unet.py" --out run --tokenizer "$tokenizer" --minutes "$(share "$unet_minutes" 0.35)" \
  --checkpoint one.pt --kinds plain,painted,ground
python "$tools/unet.py" --out run --tokenizer "$tokenizer" --minutes "$(share "$unet_minutes" 0.65)" --start one.pt --rate 0.002
python "$tools/export.py" --out run --tokenizer "$tokenizer" --to export
python "$tools/lcm.py" --model export --out run --to easel-tiny-lcm.safetensors --minutes "$lcm_minutes"
python "$tools/evaluate.py" --model export --lora easel-tiny-lcm.safetensors --data . --sheet sheet.jpg --scenes-sheet scenes.jpg \
  --uses-sheet uses.jpg --report report.json ${TRIAL:+--count "$TRIAL"}
