#!/bin/sh
# dask.sh        prepares Dask of PyPI where it is missing, and prints where it is
# dask.sh path   prints that directory without preparing it
set -eu
cd "$(dirname "$0")"

if [ -z "${INTERLINK_CACHE:-}" ]; then
  if [ "$(id -u)" = 0 ]; then
    INTERLINK_CACHE=/var/cache/interlink-ts
  else
    INTERLINK_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/interlink-ts
  fi
fi
venv=$INTERLINK_CACHE/dask-$(sha256sum <dask.sh | cut -c1-12)
if [ "${1:-}" = path ] || [ -d "$venv" ]; then
  echo "$venv"
  exit 0
fi

mkdir -p "$INTERLINK_CACHE"
work=$(mktemp -d "$INTERLINK_CACHE/dask.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
python3 -m venv "$work" >&2
"$work/bin/python" -m pip --quiet --disable-pip-version-check install 'dask==2026.8.*' 'distributed==2026.8.*' >&2
"$work/bin/python" -m distributed.cli.dask_scheduler --version >&2
# Only `python -m` finds its way after that.
chmod 755 "$work"
mv "$work" "$venv"
echo "$venv"
