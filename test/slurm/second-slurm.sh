#!/bin/sh
# second-slurm.sh        prepares Slurm 24.11, which is Debian 13's, where it is missing, and prints its prefix
# second-slurm.sh path   prints that prefix without preparing it
set -eu
cd "$(dirname "$0")"
scripts=../../scripts/lib
# shellcheck source=scripts/lib/relocated.sh
. "$scripts/relocated.sh"

relocated_prefix slurm-24.11 second-slurm.sh "$scripts/relocated.sh"
if [ "${1:-}" = path ] || [ -d "$prefix" ]; then
  echo "$prefix"
  exit 0
fi

relocated_fetch trixie 'slurm*' \
  slurmctld slurmd slurmdbd slurm-client slurm-wlm-basic-plugins slurm-wlm-mysql-plugin
# As `./configure --prefix` would have it.
made=$work/made
mv "$work"/own/usr/bin "$work"/own/usr/sbin "$made/"
mv "$work"/own/usr/lib/*/slurm-wlm "$made/lib/slurm"
for daemon in "$made"/sbin/*-wlm; do mv "$daemon" "${daemon%-wlm}"; done
relocated_link "$prefix/lib/slurm" "$made"/bin/* "$made"/sbin/*
relocated_keep "$prefix/sbin/slurmctld" -V
echo "$prefix"
