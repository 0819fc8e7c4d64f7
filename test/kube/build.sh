#!/bin/sh
# build.sh        builds the control plane where it is missing and prints the path of the binary
# build.sh path   prints that path without building
# The binary lies outside the checkout, keyed by its version and sources, so that every checkout of one machine
# builds it once: a cold build takes 7 minutes on two cores, most of it compiling Kubernetes.
set -eu
cd "$(dirname "$0")"

version=$(sed -n 's|^[[:space:]]*k8s.io/kubernetes v||p' go.mod)
if [ -z "${INTERLINK_CACHE:-}" ]; then
  if [ "$(id -u)" = 0 ]; then
    INTERLINK_CACHE=/var/cache/interlink-ts
  else
    INTERLINK_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/interlink-ts
  fi
fi
sources=$(cat main.go go.mod go.sum build.sh | sha256sum | cut -c1-12)
directory=$INTERLINK_CACHE/kube-$version-$sources
binary=$directory/control-plane

if [ "${1:-}" = path ] || [ -x "$binary" ]; then
  echo "$binary"
  exit 0
fi
command -v go >/dev/null || {
  echo 'build.sh: Go 1.25 or later is needed to build the control plane and is not on the PATH' >&2
  exit 1
}

mkdir -p "$directory"
exec 9>"$directory/lock"
flock 9
if [ ! -x "$binary" ]; then
  package=k8s.io/component-base/version
  minor=${version#*.}
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -mod=readonly -o "$binary.$$" -ldflags \
    "-s -w -X $package.gitVersion=v$version -X $package.gitMajor=${version%%.*} -X $package.gitMinor=${minor%%.*}" . >&2
  ln -sf control-plane "$directory/kubectl"
  mv "$binary.$$" "$binary"
fi
echo "$binary"
