#!/bin/sh
# image.sh {start|enter} NAME DIRECTORY USER GROUP GROUPS [COMMAND...]   in container NAME, whose image is of an OCI
# registry: becomes the command, or what the image says, with the image's variables under those of the container. What
# is empty of directory, user and group is the image's. No name but interlink_... is used: any other may be a variable
# of the container.
interlink_job=/.interlink
interlink_report=
[ "$1" = enter ] || interlink_report=$interlink_job/run/$2.fail
interlink_cannot() {
  [ -z "$interlink_report" ] || printf %s "$2" >"$interlink_report"
  printf '%s\n' "$2" >&2
  exit "$1"
}
# shellcheck source=/dev/null
. "$interlink_job/image"
interlink_nsenter=$(command -v nsenter)
interlink_perl=$(command -v perl)
interlink_container=$interlink_job/c/$2
if [ "$3" ]; then
  interlink_directory=$3
else
  # Container runtimes make the image's own.
  interlink_directory=${interlink_directory:-/}
  mkdir -p -- "$interlink_directory" 2>/dev/null
fi
if [ "$4" ]; then
  # Its own group, where nobody says another.
  interlink_user=$4
  interlink_group=$(sed -n "s/^[^:]*:[^:]*:$4:\([0-9]*\):.*/\1/p" /etc/passwd 2>/dev/null | head -n 1)
fi
interlink_group=${5:-${interlink_group:-0}}
interlink_groups=$6
if [ "$interlink_report" ] && [ "$interlink_user" != 0 ]; then
  # What it opens by itself, as /dev/stdout, is to be its own.
  chown "$interlink_user" "$interlink_job/run/$2.in" "$interlink_job/run/$2.out" "$interlink_job/run/$2.err" \
    "$interlink_job/message/$2"
fi
shift 6
cd -- "$interlink_directory" 2>/dev/null || interlink_cannot 126 "chdir to \"$interlink_directory\" failed"
[ $# -gt 0 ] || eval "set -- $interlink_entrypoint"
[ $# -gt 0 ] || interlink_cannot 127 'the image says not what to run; give a command'
# shellcheck source=/dev/null
. "$interlink_job/image.env"
export HOME="${HOME:-/}"
# shellcheck source=/dev/null
. "$interlink_container/env.sh"
case $1 in
*/*)
  [ -e "$1" ] || interlink_cannot 127 "exec: \"$1\": no such file or directory"
  [ -d "$1" ] && interlink_cannot 126 "exec: \"$1\": is a directory"
  [ -x "$1" ] || interlink_cannot 126 "exec: \"$1\": permission denied"
  ;;
*) command -v -- "$1" >/dev/null 2>&1 || interlink_cannot 127 "exec: \"$1\": executable file not found in \$PATH" ;;
esac
if [ "$interlink_groups" ]; then
  [ "$interlink_perl" ] || interlink_cannot 126 "it is to have groups ($interlink_groups), for which its image needs perl"
  # shellcheck disable=SC2016
  set -- "$interlink_perl" -e '
    my ($user, $group, $groups) = splice @ARGV, 0, 3;
    $) = "$group $group $groups"; $( = $group; ($<, $>) = ($user, $user);
    exec { $ARGV[0] } @ARGV' "$interlink_user" "$interlink_group" "$interlink_groups" "$@"
elif [ "$interlink_user:$interlink_group" != 0:0 ]; then
  set -- "$interlink_nsenter" -S "$interlink_user" -G "$interlink_group" -- "$@"
fi
if [ -s "$interlink_container/odd" ]; then
  # A shell loses variables that it cannot name.
  [ "$interlink_perl" ] || interlink_cannot 126 \
    "these environment names can only be set with perl, which the image lacks: $(cat "$interlink_container/odd")"
  # shellcheck disable=SC2016
  set -- "$interlink_perl" -e '
    open(my $f, "<", shift); local $/ = "\0";
    while (<$f>) { chomp; my ($k, $v) = split /=/, $_, 2; $ENV{$k} = $v if $k !~ /^[A-Za-z_]\w*$/ }
    exec { $ARGV[0] } @ARGV' "$interlink_container/env" "$@"
fi
exec "$@"
