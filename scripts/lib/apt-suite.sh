#!/bin/sh
# apt-suite.sh SUITE DIRECTORY COMMAND…   apt-get COMMAND… as if Debian's SUITE were all there is: with lists, cache
# and status of its own in DIRECTORY, from the mirror that this machine uses. Needs no root where COMMAND needs none;
# what is downloaded is verified with Debian's keys.
set -eu
suite=$1
cd "$2"
shift 2
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || {
  echo "$keys is missing; apt-get install debian-archive-keyring" >&2
  exit 1
}
mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
  sed -nE 's/^(URIs:|deb( \[[^]]*\])?)[[:space:]]+([^[:space:]]+).*/\3/p' | head -n 1)
mkdir -p lists/partial cache/archives/partial parts
: >status
echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} $suite main" >parts/suite.list
apt() {
  apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$PWD/parts" \
    -o Dir::State::Lists="$PWD/lists" -o Dir::State::status="$PWD/status" -o Dir::Cache="$PWD/cache" \
    -o APT::Sandbox::User="$(id -un)" "$@"
}
apt update
apt "$@"
