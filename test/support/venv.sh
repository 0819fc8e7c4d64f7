#!/bin/sh
# venv.sh NAME        prepares a program of PyPI where it is missing, and prints where it is
# venv.sh NAME path   prints that directory without preparing it
set -eu
cd "$(dirname "$0")"
# shellcheck source=scripts/lib/relocated.sh
. ../../scripts/lib/relocated.sh

case ${1:-} in
dask)
  packages='dask==2026.8.* distributed==2026.8.*'
  module=distributed.cli.dask_scheduler
  ;;
jupyterlab)
  packages='jupyterlab==4.*'
  module=jupyterlab
  ;;
*)
  echo 'usage: venv.sh dask|jupyterlab [path]' >&2
  exit 2
  ;;
esac
relocated_prefix "$1" venv.sh
if [ "${2:-}" = path ] || [ -d "$prefix" ]; then
  echo "$prefix"
  exit 0
fi

mkdir -p "$INTERLINK_CACHE"
work=$(mktemp -d "$INTERLINK_CACHE/$1.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$work" >&2
set -f
# shellcheck disable=SC2086
"$work/bin/python" -m pip --quiet --disable-pip-version-check install $packages >&2
"$work/bin/python" -m "$module" --version >&2
# Only `python -m` finds its way after that.
chmod 755 "$work"
mv "$work" "$prefix"
echo "$prefix"
