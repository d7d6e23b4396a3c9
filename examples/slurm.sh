#!/bin/bash
# The runs of a sweep file as a Slurm job array, one processor for each. From the project's folder:
#
#     sbatch --array=1-$(grep -cvE '^[[:space:]]*(#|$)' runs.txt) examples/slurm.sh runs.txt
#
# An array that was interrupted goes on with the same command; then  python demo.py sweep runs.txt  prints the table.
# For runs with --gpu add  #SBATCH --gres=gpu:1  below. PYTHON names another interpreter than python.
#SBATCH --job-name=noisy-labels
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=04:00:00
set -euo pipefail
runs=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
grep -vE '^[[:space:]]*(#|$)' "$runs" | sed -n "${SLURM_ARRAY_TASK_ID}p" > "$work/one.txt"
name=$(basename "$runs")
"${PYTHON:-python}" demo.py sweep "$work/one.txt" --out "runs/${name%.*}" --jobs 1
