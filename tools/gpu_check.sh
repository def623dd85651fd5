#!/usr/bin/env bash
# The check of the CUDA target on a device, from the folder that `make gpu-bundle` made; docs/cuda.md says how to read it.
#
#   tools/gpu_check.sh [FOLDER]     results go to FOLDER, else to $OUT, else to ./gpu-check
#
# Needs a device and Python 3.12 with NumPy and PyTorch (PYTHON=... names another program than python3). Nothing is
# downloaded; what it installs goes to a temporary folder. It ends within 6 minutes.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
python="${PYTHON:-python3}"
if ! command -v "$python" >/dev/null; then
  echo "gpu_check: $python: not found; PYTHON=... names the Python that has NumPy and PyTorch" >&2
  exit 2
fi
exec "$python" -B "$here/gpu_parts.py" "$@"
