# `start` and `enter`: becoming a process of a container. Offers `become`, which does not return.

# Sets exactly the environment of the container, whatever its names, undoes what the shells before did to signals,
# and tells a command that cannot be started from one that fails.
become_perl='
use strict;
my ($dir, $name, $mark, $cwd, $report, $prefix, $user, $group, $groups, @argv) = @ARGV;
my $told;
if ($report ne "") { open($told, ">", $report) }
sub fail { my ($code, $text) = @_;
  if ($told) { print $told $text; close $told }
  print STDERR "$text\n"; exit $code }
if (open(my $f, "<", "$dir/c/$name/env")) { local $/ = "\0"; while (<$f>) { chomp; my ($k, $v) = split /=/, $_, 2; $ENV{"$prefix$k"} = $v } }
delete @ENV{grep { /^INTERLINK_(SH|SECOND_MS)$/ } keys %ENV};
$ENV{INTERLINK_INSTANCE} = $ENV{"${prefix}INTERLINK_INSTANCE"} = $mark;
$SIG{$_} = "DEFAULT" for qw(INT QUIT HUP TERM PIPE USR1 USR2);
if ($user ne "") {
  my ($login, undef, undef, $own) = getpwuid $user;
  $group = $own // 0 if $group eq "";
  my %groups = map { $_ => 1 } split / /, $groups;
  if (defined $login) { while (my ($n, undef, $gid, $members) = getgrent) { $groups{$gid} = 1 if grep { $_ eq $login } split / /, $members } }
  $! = 0; $) = join " ", $group, $group, sort keys %groups; $( = $group; ($<, $>) = ($user, $user);
  $< == $user && $> == $user && $( + 0 == $group && $) + 0 == $group or fail(126, "user $user and group $group cannot be taken: \l$!") }
chdir $cwd or fail(126, "chdir to \"$cwd\" failed: \l$!");
my $file = $argv[0];
if ($file !~ m{/}) { ($file) = grep { -f && -x _ } map { ($_ eq "" ? "." : $_) . "/$argv[0]" } split /:/, $ENV{PATH} // "";
  defined $file or fail(127, "exec: \"$argv[0]\": executable file not found in \$PATH") }
-e $file or fail(127, "exec: \"$file\": no such file or directory");
-d _ and fail(126, "exec: \"$file\": is a directory");
-x _ or fail(126, "exec: \"$file\": permission denied");
if (open(my $f, "<", $file)) { my $head = ""; read $f, $head, 4;
  $head =~ /^(#!|\x7fELF)/ or (glob("/proc/sys/fs/binfmt_misc/[!rs]*"))[0] or fail(126, "exec: \"$file\": exec format error") }
exec { $file } @argv or fail($!{ENOENT} ? 127 : 126, "exec: \"$file\": \l$!");
'

become_python='
import os, signal, sys
d, name, mark, cwd, report, prefix, user, group, groups, *argv = [os.fsencode(a) for a in sys.argv[1:]]
told = open(report, "wb", 0) if report else None
def fail(code, text):
    if told: told.write(text)
    os.write(2, text + b"\n")
    os._exit(code)
env = dict(os.environb)
try:
    with open(d + b"/c/" + name + b"/env", "rb") as f:
        for entry in f.read().split(b"\0"):
            k, eq, v = entry.partition(b"=")
            if eq: env[prefix + k] = v
except FileNotFoundError: pass
for k in (b"INTERLINK_SH", b"INTERLINK_SECOND_MS"): env.pop(k, None)
env[b"INTERLINK_INSTANCE"] = env[prefix + b"INTERLINK_INSTANCE"] = mark
for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXFSZ):
    signal.signal(s, signal.SIG_DFL)
if user:
    import grp, pwd
    try: login = pwd.getpwuid(int(user))
    except KeyError: login = None
    gid = int(group) if group else login.pw_gid if login else 0
    more = {int(g) for g in groups.split()} | {g.gr_gid for g in grp.getgrall() if login and login.pw_name in g.gr_mem}
    try: os.setgroups(sorted({gid} | more)); os.setgid(gid); os.setuid(int(user))
    except (OSError, OverflowError) as e: fail(126, b"user " + user + b" cannot be taken: " + str(e).encode())
try: os.chdir(cwd)
except OSError as e: fail(126, b"chdir to \"" + cwd + b"\" failed: " + e.strerror.lower().encode())
path = argv[0]
if b"/" not in path:
    found = [p for p in ((e or b".") + b"/" + path for e in env.get(b"PATH", b"").split(b":")) if os.path.isfile(p) and os.access(p, os.X_OK)]
    if not found: fail(127, b"exec: \"" + path + b"\": executable file not found in $PATH")
    path = found[0]
try: os.execve(path, argv, env)
except OSError as e: fail(127 if e.errno == 2 else 126, b"exec: \"" + path + b"\": " + e.strerror.lower().encode())
'

# Arguments: REPORT CWD ARGV... Without perl and python3 only names that a shell can export can be set.
become_shell() {
  [ -z "$run_user" ] || cannot 126 "$1" \
    "it is to run as user $run_user, for which its image needs perl or python3; neither is installed"
  cd "$2" 2>/dev/null || cannot 126 "$1" "chdir to \"$2\" failed"
  [ -s "$DIR/c/$name/odd" ] && cannot 126 "$1" \
    "these environment names can only be set with perl or python3, and neither is installed: $(cat "$DIR/c/$name/odd")"
  report=$1
  shift 2
  # The children of a shell without job control ignore INT and QUIT; only another program can undo it.
  if env --default-signal=INT,QUIT true 2>/dev/null; then
    set -- "$report" "$1" "$(command -v env)" --default-signal=INT,QUIT "$@"
  else
    set -- "$report" "$1" "$@"
  fi
  unset INTERLINK_SH INTERLINK_SECOND_MS
  # From here on the variables are the container's; only the positional parameters are ours.
  # shellcheck source=/dev/null
  . "$DIR/c/$name/env.sh"
  case $2 in
  */*)
    [ -e "$2" ] || cannot 127 "$1" "exec: \"$2\": no such file or directory"
    [ -d "$2" ] && cannot 126 "$1" "exec: \"$2\": is a directory"
    [ -x "$2" ] || cannot 126 "$1" "exec: \"$2\": permission denied"
    ;;
  *) command -v -- "$2" >/dev/null 2>&1 || cannot 127 "$1" "exec: \"$2\": executable file not found in \$PATH" ;;
  esac
  shift 2
  exec "$@"
}

cannot() {
  [ "$2" ] && printf %s "$3" >"$2"
  printf '%s\n' "$3" >&2
  exit "$1"
}

become() {
  report=
  if [ "$mode" = start ]; then
    echo "$$" >"$DIR/run/$name.pid"
    report=$DIR/run/$name.fail
  fi
  # shellcheck source=/dev/null
  . "$DIR/conf"
  cwd=/ env_prefix= run_user= run_group= run_groups=
  # shellcheck source=/dev/null
  . "$DIR/c/$name/conf"
  umask 022
  if has perl; then
    exec perl -e "$become_perl" -- "$DIR" "$name" "$name.$uid" "$cwd" "$report" "$env_prefix" "$run_user" "$run_group" "$run_groups" "$@"
  elif has python3; then
    exec python3 -c "$become_python" "$DIR" "$name" "$name.$uid" "$cwd" "$report" "$env_prefix" \
      "$run_user" "$run_group" "$run_groups" "$@"
  fi
  become_shell "$report" "$cwd" "$@"
}
