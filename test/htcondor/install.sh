#!/bin/sh
# install.sh        prepares HTCondor 23.9, which is Debian 13's, where it is missing, and prints its prefix
# install.sh path   prints that prefix without preparing it
set -eu
cd "$(dirname "$0")"
scripts=../../scripts/lib
# shellcheck source=scripts/lib/relocated.sh
. "$scripts/relocated.sh"

relocated_prefix htcondor-23.9 install.sh "$scripts/relocated.sh"
if [ "${1:-}" = path ] || [ -d "$prefix" ]; then
  echo "$prefix"
  exit 0
fi

relocated_fetch trixie 'condor*' condor
# As HTCondor's own tarball has it: RELEASE_DIR is all that a configuration must say.
made=$work/made
mkdir -p "$made/libexec"
mv "$work"/own/usr/bin "$work"/own/usr/sbin "$made/"
mv "$work"/own/usr/lib/lib*.so* "$made/lib/"
mv "$work"/own/usr/lib/condor "$made/lib/condor"
# sshd of condor_ssh_to_job looks for it there.
mv "$made/lib/libgetpwnam.so" "$made/lib/condor/"
mv "$work"/own/usr/libexec/condor "$made/libexec/condor"
for program in "$made"/bin/* "$made"/sbin/* "$made"/libexec/condor/*; do
  # Dynamically linked programs: ELF that names an interpreter.
  if [ -f "$program" ] && [ ! -L "$program" ] && [ "$(head -c4 "$program")" = "$(printf '\177ELF')" ] &&
    grep -q ld-linux "$program"; then
    case $program in *.so) ;; *) echo "$program" ;; esac
  fi
done >"$work/programs"
# Of Debian's paths none has white space.
# shellcheck disable=SC2046
relocated_link '' $(cat "$work/programs")
relocated_keep "$prefix/bin/condor_version"
echo "$prefix"
