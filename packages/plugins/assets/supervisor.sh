#!/bin/sh
# Runs the containers of one pod, as docs/reference/job-directory.md describes.
#
#   supervisor.sh run DIR                         the job, to its end
#   supervisor.sh start DIR CONTAINER ARGV...     becomes the first process of a container
#   supervisor.sh enter DIR CONTAINER ARGV...     becomes a further process of a container
#   supervisor.sh action DIR CONTAINER WHAT PERL PYTHON   one probe or hook, with the tools there are
#   supervisor.sh reap DIR                        kills what a dead supervisor left behind
#
# POSIX sh and Linux's /proc; runs under dash, bash and busybox ash. What a pod says is only ever data here:
# it comes from files made by one quoting function, is used in quotes and never evaluated.
# One process decides everything, in a loop that looks at facts (files, clock); children only report and wake it.

set -u
umask 077

# --- time ---------------------------------------------------------------------------------------------------

# /proc/uptime costs no process and does not jump; `date` only says where it stands in the epoch.
read_uptime() {
  read -r uptime _ </proc/uptime
  uptime=$((${uptime%.*} * 1000 + 1${uptime#*.}0 - 1000))
}

set_clock() {
  epoch=$(date +%s%N)
  case $epoch in
  *[!0-9]*) epoch=$(date +%s)000 ;;
  *) epoch=${epoch%??????} ;;
  esac
  read_uptime
  # Times of one job are compared with each other: only a clock that was set is worth a jump.
  drift=$((epoch - uptime - boot))
  [ "${drift#-}" -lt 1000 ] || boot=$((boot + drift))
}

tell_time() {
  read_uptime
  now=$((boot + uptime))
}

# Go's notation, as a kubelet prints it.
duration() {
  if [ "$1" -lt 60 ]; then echo "$1s"; else echo "$(($1 / 60))m$(($1 % 60))s"; fi
}

# --- tools --------------------------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }

find_tools() {
  sh=${INTERLINK_SH:-/bin/sh}
  perl= python=
  perl -MTime::HiRes -MPOSIX -MSocket -e 1 >/dev/null 2>&1 && perl=perl
  [ "$perl" ] || { has python3 && python3 -c 1 >/dev/null 2>&1 && python=python3; }
  if has setsid; then
    session=setsid
  elif [ "$perl" ]; then
    session='perl -MPOSIX -e POSIX::setsid();exec{$ARGV[0]}@ARGV;'
  else
    session=
  fi
  awk=awk
  # mawk would keep lines back until 4 KiB are full.
  case $(awk -W version 2>/dev/null </dev/null | head -n 1) in mawk*) awk='awk -W interactive' ;; esac
  page=$(getconf PAGESIZE 2>/dev/null) || page=4096
}

# The value of a state key: NUL dropped, backslash and newline escaped.
escape() {
  escaped=$({ tr -d '\000'; echo .; } | sed -e ':a' -e '$!{' -e 'N' -e 'ba' -e '}' -e 's/\\/\\\\/g' -e 's/\n/\\n/g')
  printf %s "${escaped%.}"
}

# Tells the supervisor to look again. Every child holds the pipe for reading too, so this never blocks or fails.
wake() { echo >&3; }

# Kills what escaped the groups of these containers; the mark in the environment tells them.
kill_marked() {
  for marked in "$@"; do
    shift
    set -- "$@" -e "INTERLINK_INSTANCE=$marked.$uid"
  done
  grep -lszxF "$@" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ found _; do
    kill -s KILL "$found" 2>/dev/null
  done
}

# A child that has ended is a zombie until it is waited for.
is_alive() {
  { read -r _ _ life _ <"/proc/$1/stat"; } 2>/dev/null && [ "$life" != Z ]
}

# --- start and enter: becoming a process of a container -----------------------------------------------------

# Sets exactly the environment of the container, whatever its names, undoes what the shells before did to signals,
# and tells a command that cannot be started from one that fails.
become_perl='
use strict;
my ($dir, $name, $mark, $cwd, $report, @argv) = @ARGV;
sub fail { my ($code, $text) = @_;
  if ($report ne "") { open(my $f, ">", $report); print $f $text; close $f }
  print STDERR "$text\n"; exit $code }
if (open(my $f, "<", "$dir/c/$name/env")) { local $/ = "\0"; while (<$f>) { chomp; my ($k, $v) = split /=/, $_, 2; $ENV{$k} = $v } }
delete @ENV{grep { /^INTERLINK_(SH|SECOND_MS)$/ } keys %ENV};
$ENV{INTERLINK_INSTANCE} = $mark;
$SIG{$_} = "DEFAULT" for qw(INT QUIT HUP TERM PIPE USR1 USR2);
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
d, name, mark, cwd, report, *argv = [os.fsencode(a) for a in sys.argv[1:]]
def fail(code, text):
    if report:
        with open(report, "wb") as f: f.write(text)
    os.write(2, text + b"\n")
    os._exit(code)
env = dict(os.environb)
try:
    with open(d + b"/c/" + name + b"/env", "rb") as f:
        for entry in f.read().split(b"\0"):
            k, eq, v = entry.partition(b"=")
            if eq: env[k] = v
except FileNotFoundError: pass
for k in (b"INTERLINK_SH", b"INTERLINK_SECOND_MS"): env.pop(k, None)
env[b"INTERLINK_INSTANCE"] = mark
for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXFSZ):
    signal.signal(s, signal.SIG_DFL)
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
  cwd=/
  # shellcheck source=/dev/null
  . "$DIR/c/$name/conf"
  umask 022
  if has perl; then
    exec perl -e "$become_perl" -- "$DIR" "$name" "$name.$uid" "$cwd" "$report" "$@"
  elif has python3; then
    exec python3 -c "$become_python" "$DIR" "$name" "$name.$uid" "$cwd" "$report" "$@"
  fi
  become_shell "$report" "$cwd" "$@"
}

# --- logs ---------------------------------------------------------------------------------------------------

# Both streams of an attempt into one file of CRI lines. Ends with the last writer; USR2 says that nobody who
# still holds a pipe matters any more.
log_perl='
use strict; use Time::HiRes; use POSIX ();
my ($log, @from) = @ARGV;
my ($end, $until, $second, $prefix) = (0, 0, -1, "");
$SIG{$_} = "IGNORE" for qw(HUP INT TERM PIPE USR1);
$SIG{USR2} = sub { $end = 1; $until = Time::HiRes::time() + 1 };
open(my $to, ">>", $log) or die "$log: $!";
my @streams = map { open(my $fh, "<", $from[$_]) or die "$from[$_]: $!"; { fh => $fh, tag => ("stdout", "stderr")[$_], rest => "" } } 0, 1;
sub stamp { my ($s, $us) = Time::HiRes::gettimeofday();
  if ($s != $second) { $second = $s; $prefix = POSIX::strftime("%Y-%m-%dT%H:%M:%S", gmtime $s) }
  sprintf "%s.%06d000Z", $prefix, $us }
sub put { my $off = 0;
  while ($off < length $_[0]) { my $n = syswrite $to, $_[0], length($_[0]) - $off, $off;
    if (defined $n) { $off += $n } elsif (!$!{EINTR}) { return } } }
while (@streams) {
  my $in = ""; vec($in, fileno $_->{fh}, 1) = 1 for @streams;
  my $n = select(my $ready = $in, undef, undef, $end ? 0 : undef);
  if ($n < 0) { next }
  if ($n == 0 || ($end && Time::HiRes::time() > $until)) { last if $end; next }
  for my $s (@streams) {
    next unless vec($ready, fileno $s->{fh}, 1);
    my $n = sysread $s->{fh}, $s->{rest}, 65536, length $s->{rest};
    next unless defined $n;
    my $out = ""; my $at = stamp();
    if ($n == 0) { $out = "$at $s->{tag} P $s->{rest}\n" if $s->{rest} ne ""; $s->{rest} = ""; $s->{eof} = 1 }
    else {
      my $pos = 0;
      while ((my $nl = index $s->{rest}, "\n", $pos) >= 0) {
        while ($nl - $pos > 16384) { $out .= "$at $s->{tag} P " . substr($s->{rest}, $pos, 16384) . "\n"; $pos += 16384 }
        $out .= "$at $s->{tag} F " . substr($s->{rest}, $pos, $nl - $pos) . "\n"; $pos = $nl + 1 }
      while (length($s->{rest}) - $pos > 16384) { $out .= "$at $s->{tag} P " . substr($s->{rest}, $pos, 16384) . "\n"; $pos += 16384 }
      substr($s->{rest}, 0, $pos) = "" if $pos }
    put($out) if $out ne "" }
  @streams = grep { !$_->{eof} } @streams }
put(join "", map { $_->{rest} eq "" ? () : stamp() . " $_->{tag} P $_->{rest}\n" } @streams);
'

# Where there is no perl: one awk per stream. No line may exceed what awk hands to one write, as both append.
# shellcheck disable=SC2016
log_awk='
function stamp(  f, t, s, d, era, doe, yoe, doy, mp, day, month, year) {
  getline f < "/proc/uptime"; close("/proc/uptime"); split(f, up, " ")
  t = boot + up[1]; s = int(t)
  if (s != second) {
    second = s; d = int(s / 86400) + 719468; s = s % 86400
    era = int(d / 146097); doe = d - era * 146097
    yoe = int((doe - int(doe / 1460) + int(doe / 36524) - int(doe / 146096)) / 365)
    doy = doe - (365 * yoe + int(yoe / 4) - int(yoe / 100)); mp = int((5 * doy + 2) / 153)
    day = doy - int((153 * mp + 2) / 5) + 1; month = mp < 10 ? mp + 3 : mp - 9; year = yoe + era * 400 + (month <= 2)
    prefix = sprintf("%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, int(s / 3600), int(s / 60) % 60, s % 60)
  }
  return sprintf("%s.%03d000000Z", prefix, int((t - second) * 1000))
}
{
  line = $0; at = stamp()
  while (length(line) > 4000) { print at " " stream " P " substr(line, 1, 4000); line = substr(line, 4001) }
  print at " " stream " F " line; fflush()
}'

# shellcheck disable=SC2086
write_log() {
  if [ "$perl" ]; then
    exec perl -e "$log_perl" -- "$1" "$2.out" "$2.err"
  fi
  trap '' TERM INT HUP USR1
  seconds=$((boot / 1000)).$((boot % 1000 + 1000))
  seconds=${seconds%.*}.${seconds#*.1}
  LC_ALL=C $awk -v boot="$seconds" -v stream=stderr "$log_awk" <"$2.err" >>"$1" &
  LC_ALL=C $awk -v boot="$seconds" -v stream=stdout "$log_awk" <"$2.out" >>"$1"
  wait
}

# --- the child that watches one attempt ---------------------------------------------------------------------

# A batch system may signal the whole group; this process stays, to say how the container ended.
# shellcheck disable=SC2086
watch_attempt() {
  trap : TERM INT HUP USR1
  base=$run/$name
  write_log "$DIR/log/$name.$restarts" "$base" 3>&- &
  logger=$!
  echo "$logger" >"$base.logger"
  # In a subshell, lest this one says "Killed" into the container's log.
  (exec $session $sh "$DIR/c/$name/run" >"$base.out" 2>"$base.err" 3>&-)
  code=$?
  tell_time
  echo "$code $now" >"$base.exit"
  wake
  while kill -0 "$logger" 2>/dev/null; do wait "$logger"; done
  : >"$base.drained"
  wake
}

# --- probes and hooks ---------------------------------------------------------------------------------------

exec_action() {
  # shellcheck disable=SC2086
  $sh "$DIR/c/$name/enter" "$@" 3>&-
}

# Not every sleep knows fractions; with whole seconds there are none.
sleep_action() { sleep "$(fraction $(($1 * second)))" 2>/dev/null || sleep "$1"; }

talk_perl='
use strict; use Socket qw(:DEFAULT getaddrinfo);
my ($kind, $host, $port) = @ARGV; my ($sock, $why);
my ($err, @found) = getaddrinfo($host, $port, { socktype => SOCK_STREAM });
$err and do { print STDERR "dial tcp: lookup $host: $err\n"; exit 1 };
for my $a (@found) { socket($sock, $a->{family}, $a->{socktype}, $a->{protocol}) or next;
  if (connect($sock, $a->{addr})) { $why = undef; last } $why = $!; close $sock }
defined $why and do { print STDERR "dial tcp $host:$port: connect: \l$why\n"; exit 1 };
exit 0 if $kind eq "tcp";
binmode STDIN; binmode STDOUT; local $/; my $ask = <STDIN>; syswrite $sock, $ask; my $got = "";
while (sysread $sock, $got, 65536, length $got) {
  last if $kind eq "http" ? $got =~ /\n/ : $got =~ /\x00\x00\x07\x00.\x00\x00\x00\x01\x00\x00\x00\x00\x02\x08|\x01[\x05\x01]\x00\x00\x00\x01/s }
print $got;
'

talk_python='
import re, socket, sys
kind, host, port = sys.argv[1:4]
try: sock = socket.create_connection((host, int(port)))
except OSError as e:
    print("dial tcp %s:%s: connect: %s" % (host, port, (e.strerror or str(e)).lower()), file=sys.stderr); sys.exit(1)
if kind == "tcp": sys.exit(0)
sock.sendall(sys.stdin.buffer.read())
got, end = b"", re.compile(rb"\n" if kind == "http" else rb"\x00\x00\x07\x00.\x00\x00\x00\x01\x00\x00\x00\x00\x02\x08|\x01[\x05\x01]\x00\x00\x00\x01", re.S)
while not end.search(got):
    more = sock.recv(65536)
    if not more: break
    got += more
sys.stdout.buffer.write(got)
'

# Sends stdin to HOST PORT and prints the answer, as far as KIND needs it. 90: no tool here can do that.
talk() {
  if [ "$perl" ]; then
    perl -e "$talk_perl" -- "$@"
  elif [ "$python" ]; then
    python3 -c "$talk_python" "$@"
  elif [ "$1" != grpc ] && has nc; then
    if [ "$1" = tcp ]; then
      nc -z "$2" "$3" 2>/dev/null </dev/null || nc "$2" "$3" </dev/null >/dev/null || { echo "dial tcp $2:$3: connection failed" >&2; return 1; }
    else
      # Some nc leave at the end of stdin, before the answer; the answer ends the connection.
      { cat; sleep "$(fraction "$second")"; } | nc "$2" "$3" || { echo "dial tcp $2:$3: connection failed" >&2; return 1; }
    fi
  elif [ "$1" != grpc ] && has bash; then
    bash -c 'exec 3<>"/dev/tcp/$2/$3" || exit 1; [ "$1" = tcp ] || { cat >&3; head -n 1 <&3; }' bash "$@"
  else
    return 90
  fi
}

no_tool() {
  echo "$1 probes need $2 on the machine where the job runs; install one of them or use an exec probe"
  return 90
}

tcp_action() {
  talk tcp "$1" "$2" </dev/null
  answer=$?
  [ "$answer" != 90 ] || no_tool tcp 'perl, python3, nc or bash'
  return "$answer"
}

# Arguments: SCHEME HOST PORT PATH HEADER...
http_action() {
  scheme=$1 host=$2 port=$3 path=$4
  shift 4
  agent='User-Agent: kube-probe/interlink' authority="Host: $host:$port" accept='Accept: */*'
  for header in "$@"; do
    case $header in
    [Uu][Ss][Ee][Rr]-[Aa][Gg][Ee][Nn][Tt]:*) agent= ;;
    [Hh][Oo][Ss][Tt]:*) authority= ;;
    [Aa][Cc][Cc][Ee][Pp][Tt]:*) accept= ;;
    esac
  done
  case $host in *:*) url="$scheme://[$host]:$port$path" ;; *) url="$scheme://$host:$port$path" ;; esac
  if [ "$scheme" = http ]; then
    answer=$({
      printf 'GET %s HTTP/1.1\r\n' "$path"
      for header in "$authority" "$agent" "$accept" "$@"; do [ "$header" ] && printf '%s\r\n' "$header"; done
      printf 'Connection: close\r\n\r\n'
    } | talk http "$host" "$port" | head -n 1 | tr -d '\000\r')
    case $answer in
    HTTP/1.?\ [0-9][0-9][0-9]*)
      answer=${answer#* }
      judge_http "${answer%% *}" && return 0
      return 1
      ;;
    esac
  fi
  if has curl; then
    # Headers may be secret: they go through stdin, not into the process list.
    answer=$({
      for header in "$authority" "$agent" "$@"; do
        [ "$header" ] && printf 'header = "%s"\n' "$(printf %s "$header" | sed 's/[\\"]/\\&/g')"
      done
    } | curl -sSk -o /dev/null -w '%{http_code}' --noproxy '*' -K - -- "$url") || return 1
    judge_http "$answer"
  elif [ "$scheme" = https ] && [ "$python" ]; then
    printf '%s\n' "$@" | python3 -c '
import ssl, sys, urllib.request, urllib.error
headers = dict(l.rstrip("\n").split(": ", 1) for l in sys.stdin if ": " in l)
try: print(urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl._create_unverified_context())).open(urllib.request.Request(sys.argv[1], headers=headers)).status)
except urllib.error.HTTPError as e: print("HTTP probe failed with statuscode: %d" % e.code); sys.exit(1)
except OSError as e: print(e); sys.exit(1)' "$url"
  elif [ $# = 0 ] && has wget; then
    wget -q --no-check-certificate -O /dev/null -- "$url" || { echo "Get \"$url\": failed"; return 1; }
  elif [ "$scheme" = http ] && { [ "$perl" ] || [ "$python" ] || has nc || has bash; }; then
    echo "Get \"$url\": no answer in HTTP"
    return 1
  else
    no_tool "$scheme" 'curl, wget or python3'
  fi
}

judge_http() {
  [ "$1" -ge 200 ] && [ "$1" -lt 400 ] && return 0
  echo "HTTP probe failed with statuscode: $1"
  return 1
}

byte() { printf "\\$(printf %03o "$1")"; }

# grpc.health.v1.Health/Check as the bytes of one HTTP/2 stream; the answer is looked for in its DATA frame.
# Arguments: HOST PORT SERVICE
grpc_action() {
  length=${#3}
  [ "$length" -le 120 ] || { echo "the service name is longer than 120 bytes"; return 1; }
  message=$((length ? length + 2 : 0))
  authority=$1:$2
  answer=$({
    printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\000\000\000\004\000\000\000\000\000'
    printf '\000\000'
    byte $((2 + 2 + 28 + 2 + ${#authority} + 3 + 16 + 5 + 8))
    printf '\001\004\000\000\000\001\203\206\004\034/grpc.health.v1.Health/Check\001'
    byte ${#authority}
    printf '%s\017\020\020application/grpc\000\002te\010trailers' "$authority"
    printf '\000\000'
    byte $((message + 5))
    printf '\000\001\000\000\000\001\000\000\000\000'
    byte "$message"
    if [ "$length" -gt 0 ]; then
      printf '\012'
      byte "$length"
      printf %s "$3"
    fi
  } | { talk grpc "$1" "$2" || echo "failed $?" >&2; } | od -An -v -tx1 | tr -d ' \n')
  case $answer in
  *00000700??0000000100000000020801*) return 0 ;;
  *00000700??0000000100000000020802*) echo 'service unhealthy (responded with "NOT_SERVING")' ;;
  *00000700??0000000100000000020803*) echo 'service unhealthy (responded with "SERVICE_UNKNOWN")' ;;
  *00000700??00000001000000000208*) echo 'service unhealthy (responded with "UNKNOWN")' ;;
  '')
    [ "$perl$python" ] || { no_tool grpc 'perl or python3'; return; }
    echo "no answer from $authority"
    ;;
  *) echo "$authority knows no such service, or no grpc.health.v1.Health" ;;
  esac
  return 1
}

act() {
  # shellcheck source=/dev/null
  . "$DIR/c/$name/$1"
  echo "$?" >"$DIR/run/$name.$1"
  wake
}

# --- state --------------------------------------------------------------------------------------------------

put() {
  printf '%s\n' "$2" >"$1.tmp" && mv -f "$1.tmp" "$1"
}

beat() {
  put "$DIR/state/supervisor" "pid=$$
started=$begun
beat=$now"
  beat_at=$((now + 10 * second))
}

line() { [ -z "$2" ] || text="$text
$1=$2"; }

write_state() {
  text="state=$state"
  line reason "$reason"
  line message "$message"
  line restarts "$restarts"
  line started "$started"
  line finished "$finished"
  if [ "$state" = terminated ]; then
    line exit "$code"
    line signal "$signal"
  fi
  line ready "$ready"
  line up "$up"
  line last.exit "$last_code"
  line last.signal "$last_signal"
  line last.reason "$last_reason"
  line last.message "$last_message"
  line last.started "$last_started"
  line last.finished "$last_finished"
  line notice.reason "$notice_reason"
  line notice.message "$notice_message"
  line notice.at "$notice_at"
  [ "$text" = "$written" ] && return
  # What could not be written, on a full disk, is tried again.
  put "$DIR/state/c.$name" "$text" && written=$text
}

notice() { notice_reason=$1 notice_message=$2 notice_at=$now; }

# --- the variables of a container ---------------------------------------------------------------------------

# conf of the container
fields='name kind stop_signal memory message_policy post_start pre_stop'
# what is told
fields="$fields state reason message restarts started finished code signal ready up written"
fields="$fields last_code last_signal last_reason last_message last_started last_finished"
fields="$fields notice_reason notice_message notice_at"
# phase: idle hook run stop drain wait done; due: when it goes on; stage: of stop (hook term kill)
fields="$fields phase stage due delay kill_at hook_pid oom leader"
for probe in startup liveness readiness; do
  for field in delay period timeout success failure grace pid due until good bad; do
    fields="$fields ${probe}_$field"
  done
done

declare_container() {
  for field in $fields; do eval "$field="; done
  name=$1
  # shellcheck source=/dev/null
  . "$DIR/c/$name/conf"
  phase=idle state=waiting restarts=0 ready=0 up=0 delay=0
  reason=PodInitializing
  loading= saving=
  for field in $fields; do
    loading="$loading $field=\$c${i}_$field"
    saving="$saving c${i}_$field=\$$field"
  done
  eval "load_$i=\$loading save_$i=\$saving"
  eval "$saving"
}

load() { i=$1 && eval "eval \"\$load_$1\""; }
save() { eval "eval \"\$save_$i\""; }

# --- one container ------------------------------------------------------------------------------------------

soon() { [ "$1" -lt "$next" ] && next=$1; return 0; }

launch() {
  if [ "$code" ]; then
    [ "$state" = terminated ] && keep_last
    restarts=$((restarts + 1))
  fi
  rm -f "$run/$name."*
  rm -f "$DIR/log/$name.$((restarts - 2))"
  mkfifo "$run/$name.out" "$run/$name.err"
  : >"$DIR/message/$name"
  phase=run state=running reason= message= code= signal= finished= oom= leader= ready=0 up=0 stage= kill_at=
  notice_reason= notice_message= notice_at=
  tell_time
  started=$now
  watch_attempt </dev/null &
  if [ "$post_start" ]; then
    phase=hook state=waiting reason=ContainerCreating
    start_action postStart
    hook_pid=$action
  else
    begin_running
  fi
}

keep_last() {
  last_code=$code last_signal=$signal last_reason=$reason last_message=$message
  last_started=$started last_finished=$finished
}

begin_running() {
  phase=run state=running reason= message=
  for probe in startup liveness readiness; do
    eval "${probe}_pid= ${probe}_good=0 ${probe}_bad=0 ${probe}_due=\$((now + \${${probe}_delay:-0} * second))"
  done
  [ "$startup_period" ] || rise
}

# Startup is over: from now on the other probes count.
rise() {
  up=1
  [ "$readiness_period" ] || ready=1
}

# shellcheck disable=SC2086
start_action() {
  rm -f "$run/$name.$1"
  $session $sh "$DIR/supervisor.sh" action "$DIR" "$name" "$1" "$perl" "$python" </dev/null >"$run/$name.$1.said" 2>&1 &
  action=$!
}

# The result of action WHAT with number PID: sets `result`, empty while it runs.
action_result() {
  result=
  [ -s "$run/$name.$1" ] || { is_alive "$2" && return 0; }
  [ -s "$run/$name.$1" ] && read -r result <"$run/$name.$1"
  result=${result:-137}
}

end_action() {
  kill -s KILL -- "-$1" 2>/dev/null || kill -s KILL "$1" 2>/dev/null
}

said() {
  words=$(head -c 1024 "$run/$name.$1.said" 2>/dev/null | escape)
  printf %s "${words%\\n}"
}

step_hook() {
  action_result postStart "$hook_pid"
  [ "$result" ] || return 0
  hook_pid=
  if [ "$result" = 0 ]; then
    begin_running
  else
    notice FailedPostStartHook "PostStartHook failed: $(said postStart)"
    begin_stop $((now + grace * second))
  fi
}

step_probe() {
  eval "period=\$$1_period"
  [ "$period" ] || return 0
  eval "pid=\$$1_pid due_at=\$$1_due until=\$$1_until limit=\$$1_timeout"
  if [ -z "$pid" ]; then
    if [ "$now" -ge "$due_at" ]; then
      start_action "$1"
      eval "$1_pid=\$action $1_due=\$((now + period * second)) $1_until=\$((now + limit * second))"
      soon $((now + limit * second))
    else
      soon "$due_at"
    fi
    return 0
  fi
  action_result "$1" "$pid"
  why=
  if [ -z "$result" ]; then
    if [ "$now" -lt "$until" ]; then
      soon "$until"
      return 0
    fi
    end_action "$pid"
    result=timeout why="timed out after $(duration "$limit")"
  fi
  soon "$due_at"
  eval "$1_pid= good=\$$1_good bad=\$$1_bad needs=\$$1_success allows=\$$1_failure"
  if [ "$result" = 0 ]; then
    good=$((good + 1)) bad=0
  else
    good=0 bad=$((bad + 1))
  fi
  eval "$1_good=\$good $1_bad=\$bad"
  case $1 in startup) title=Startup ;; liveness) title=Liveness ;; *) title=Readiness ;; esac
  [ "$result" = 0 ] || notice Unhealthy "$title probe failed: ${why:-$(said "$1")}"
  if [ "$good" -ge "$needs" ]; then
    case $1 in startup) rise ;; readiness) ready=1 ;; esac
  elif [ "$bad" -ge "$allows" ]; then
    if [ "$1" = readiness ]; then
      ready=0
    else
      eval "patience=\${$1_grace:-\$grace}"
      notice Killing "Container $name failed $1 probe, will be restarted: $notice_message"
      begin_stop $((now + patience * second))
    fi
  fi
}

end_probes() {
  for probe in startup liveness readiness; do
    eval "pid=\$${probe}_pid ${probe}_pid="
    [ -z "$pid" ] || end_action "$pid"
  done
}

begin_stop() {
  end_probes
  stage=term kill_at=$1
  if [ "$hook_pid" ]; then
    end_action "$hook_pid"
    hook_pid=
  fi
  if [ "$pre_stop" ] && [ "$phase" = run ] && [ "$now" -lt "$kill_at" ]; then
    stage=hook
    start_action preStop
    hook_pid=$action
  fi
  phase=stop
  [ "$stage" = hook ] || deliver "$stop_signal"
}

find_leader() {
  [ "$leader" ] && return 0
  [ -s "$run/$name.pid" ] && read -r leader <"$run/$name.pid"
  [ "$leader" ]
}

# Signals go to the group: a runtime in front of the container passes them on or shares its group.
deliver() {
  if find_leader; then
    kill -s "$1" -- "-$leader" 2>/dev/null
    stage=sent
  else
    soon $((now + 20))
  fi
}

step_stop() {
  if [ "$stop_until" ] && [ "$stop_until" -lt "$kill_at" ]; then kill_at=$stop_until; fi
  if [ "$stage" = hook ]; then
    action_result preStop "$hook_pid"
    if [ "$result" ] || [ "$now" -ge "$kill_at" ]; then
      if [ -z "$result" ]; then
        end_action "$hook_pid"
        # As the kubelet: a hook that took all the time leaves 2 s for the signal, unless there was none to take.
        kill_at=$((now + 2 * second))
        [ -z "$stop_until" ] || [ "$stop_until" -ge "$kill_at" ] || stop_until=$kill_at
        notice FailedPreStopHook "PreStopHook did not end within the grace period"
      elif [ "$result" != 0 ]; then
        notice FailedPreStopHook "PreStopHook failed: $(said preStop)"
      fi
      hook_pid= stage=term
    fi
  fi
  [ "$stage" = term ] && deliver "$stop_signal"
  if [ "$stage" = sent ] && [ "$now" -ge "$kill_at" ]; then
    kill -s KILL -- "-$leader" 2>/dev/null
    kill_marked "$name"
    stage=killed
  fi
  case $stage in sent | hook) soon "$kill_at" ;; esac
  return 0
}

# The container's first process has ended: all others end with it.
step_exit() {
  [ -s "$run/$name.exit" ] || return 1
  read -r code finished <"$run/$name.exit"
  [ "$finished" ] || return 1
  end_probes
  if [ "$hook_pid" ]; then
    end_action "$hook_pid"
    hook_pid=
  fi
  find_leader && kill -s KILL -- "-$leader" 2>/dev/null
  kill_marked "$name"
  phase=drain due=$((now + 2000))
  return 0
}

step_drain() {
  if [ ! -e "$run/$name.drained" ]; then
    if [ "$now" -ge "$due" ]; then
      read -r logger <"$run/$name.logger"
      kill -s USR2 "$logger" 2>/dev/null
      due=$((now + 2000))
    fi
    soon "$due"
    return 0
  fi
  state=terminated ready=0 up=0 signal=
  if [ "$oom" ]; then
    code=137 reason=OOMKilled
  elif [ -s "$run/$name.fail" ]; then
    reason=StartError
  elif [ "$code" = 0 ]; then
    reason=Completed
    [ "$kind" = init ] && ready=1
  else
    reason=Error
  fi
  [ "$code" -gt 128 ] && [ "$code" -le 192 ] && signal=$((code - 128))
  message=$(last_words)
  if should_restart; then
    [ $((finished - started)) -ge $((600 * second)) ] && delay=0
    due=$((finished + delay * second))
    if [ "$delay" -gt 0 ]; then
      keep_last
      state=waiting reason=CrashLoopBackOff
      message="back-off $(duration "$delay") restarting failed container=$name pod=${pod}_$namespace($uid)"
      finished= started=
    fi
    delay=$((delay ? delay * 2 : 10))
    [ "$delay" -gt 300 ] && delay=300
    phase=wait
  else
    phase=done
    [ "$kind" = init ] && [ "$code" != 0 ] && init_failed=1
  fi
  return 0
}

last_words() {
  if [ -s "$run/$name.fail" ]; then
    head -c 4096 "$run/$name.fail" | escape
  elif [ "$oom" ] && [ ! -s "$DIR/message/$name" ]; then
    echo "memory limit of $memory bytes exceeded"
  elif [ -s "$DIR/message/$name" ]; then
    head -c 4096 "$DIR/message/$name" | escape
  elif [ "$message_policy" = FallbackToLogsOnError ] && [ "$code" != 0 ]; then
    tail -n 80 "$DIR/log/$name.$restarts" 2>/dev/null | cut -d ' ' -f 4- | tail -c 2048 | escape
  fi
}

should_restart() {
  [ "$stopping" ] && return 1
  case $kind in
  sidecar) return 0 ;;
  init) [ "$code" != 0 ] && [ "$restart_policy" != Never ] ;;
  main) [ "$restart_policy" = Always ] || { [ "$restart_policy" = OnFailure ] && [ "$code" != 0 ]; } ;;
  esac
}

# The next attempt will not be: what is known of the one before is what remains.
give_up() {
  phase=done
  [ "$state" = terminated ] && return
  state=terminated code=$last_code signal=$last_signal reason=$last_reason message=$last_message
  started=$last_started finished=$last_finished
  last_code= last_signal= last_reason= last_message= last_started= last_finished=
}

step() {
  case $phase in
  hook | run | stop) step_exit ;;
  esac
  case $phase in
  hook) step_hook ;;
  run)
    if [ "$up" = 0 ]; then
      step_probe startup
    else
      step_probe readiness
      [ "$phase" = run ] && [ -z "$stopping" ] && step_probe liveness
    fi
    ;;
  esac
  case $phase in
  stop) step_stop ;;
  drain) step_drain ;;
  esac
  if [ "$phase" = wait ]; then
    if [ "$stopping" ]; then
      give_up
    elif [ "$now" -ge "$due" ]; then
      launch
    else
      soon "$due"
    fi
  fi
}

# --- memory -------------------------------------------------------------------------------------------------

# Adds the processes below PID to `tree`; the kernel's list of children where it has one.
grow_tree() {
  tree="$tree $1"
  for children in /proc/"$1"/task/*/children; do
    [ -r "$children" ] || continue
    read -r below <"$children" || [ "$below" ] || continue
    for child in $below; do grow_tree "$child"; done
  done
}

find_tree() {
  tree=
  if [ -r "/proc/$1/task/$1/children" ]; then
    grow_tree "$1"
  else
    tree=$(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/(.*)/x/' | awk -v root="$1" '
      { parent[$1] = $4; session[$1] = $6 }
      function below(p, n) { for (n = 0; p in parent && n < 64; n++) { if (p == root) return 1; p = parent[p] } return 0 }
      END { for (p in parent) if (session[p] == root || below(p)) print p }')
  fi
}

# Resident sizes count shared pages once per process; near the limit the exact share decides.
watch_memory() {
  [ "$memory" ] && [ "$phase" != drain ] && find_leader || return 0
  find_tree "$leader"
  used=0
  for process in $tree; do
    { read -r _ resident _ <"/proc/$process/statm"; } 2>/dev/null && used=$((used + resident * page))
  done
  [ "$used" -gt "$memory" ] || return 0
  exact=0
  for process in $tree; do
    share=$(sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$process/smaps_rollup" 2>/dev/null)
    if [ -z "$share" ]; then
      [ -d "/proc/$process" ] && exact=$used
      continue
    fi
    exact=$((exact + share * 1024))
  done
  [ "$exact" -gt "$memory" ] || return 0
  oom=1
  kill -s KILL -- "-$leader" 2>/dev/null
  for process in $tree; do kill -s KILL "$process" 2>/dev/null; done
  return 0
}

# --- the pod ------------------------------------------------------------------------------------------------

# The order of a start: an init container to its end, a sidecar until it is up, then all main containers.
advance() {
  i=0
  while [ $((i += 1)) -le "$count" ]; do
    load "$i"
    if [ "$phase" = idle ]; then
      launch
      save
    fi
    case $kind in
    init) [ "$phase" = done ] && [ "$code" = 0 ] || return 0 ;;
    sidecar) [ "$state" = running ] && [ "$up" = 1 ] || [ "$passed" -ge "$i" ] || return 0 ;;
    esac
    [ "$passed" -ge "$i" ] || passed=$i
  done
  started_all=1
}

begin_end() {
  stopping=1
  stop_until=$((now + $1 * second))
}

# A wish to stop: a signal, or the file with the grace in seconds; a later and shorter one counts.
look_for_stop() {
  wish=
  if [ -f "$DIR/stop" ]; then
    read -r wish <"$DIR/stop"
    case $wish in '' | *[!0-9]* | ????????*) wish=$grace ;; esac
  elif [ "$asked" ]; then
    wish=$grace
  fi
  if [ "$wish" ] && [ "$wish" != "$heard" ]; then
    if [ -z "$heard" ] && [ -z "$stopping" ]; then
      begin_end "$wish"
    elif [ $((now + wish * second)) -lt "$stop_until" ]; then
      stop_until=$((now + wish * second))
    fi
    heard=$wish
  fi
  if [ "$deadline" ] && [ -z "$stopping" ]; then
    if [ "$now" -ge $((begun + deadline * second)) ]; then
      pod_reason=DeadlineExceeded
      pod_message='Pod was active on the node longer than the specified deadline'
      begin_end "$grace"
    else
      soon $((begun + deadline * second))
    fi
  fi
}

# While the pod ends: main and init containers at once, then the sidecars from the last to the first.
step_end() {
  i=0 others=
  while [ $((i += 1)) -le "$count" ]; do
    load "$i"
    case $phase in
    idle) phase=done ;;
    hook | run) [ "$kind" = sidecar ] || begin_stop "$stop_until" ;;
    esac
    save
    [ "$kind" = sidecar ] || [ "$phase" = done ] || others=1
  done
  [ -z "$others" ] || [ "$now" -ge "$stop_until" ] || return 0
  i=$((count + 1))
  while [ $((i -= 1)) -gt 0 ]; do
    load "$i"
    if [ "$kind" = sidecar ] && [ "$phase" != done ]; then
      case $phase in hook | run) begin_stop "$stop_until" && save ;; esac
      [ "$now" -ge "$stop_until" ] || return 0
    fi
  done
}

all_of() {
  j=0
  while [ $((j += 1)) -le "$count" ]; do
    eval "k=\$c${j}_kind p=\$c${j}_phase"
    case $k in $1) [ "$p" = done ] || return 1 ;; esac
  done
}

fraction() {
  rest=$(($1 % 1000 + 1000))
  echo "$(($1 / 1000)).${rest#1}"
}

# Until `next` or a word from a child. dash cannot read with a timeout, so there a process says when it is time.
nap() {
  tell_time
  pause=$((next - now))
  [ "$pause" -ge 10 ] || pause=10
  rest=$((pause % 1000 + 1000))
  pause=$((pause / 1000)).${rest#1}
  if [ "$timed_read" ]; then
    # shellcheck disable=SC3045
    read -r -t "$pause" _ <&3
  else
    if [ "$now" -ge "$tick_at" ] || [ "$next" -lt "$tick_at" ]; then
      { sleep "$pause" 2>/dev/null || sleep 1; wake; } &
      tick_at=$next
    fi
    read -r _ <&3
  fi
  # Takes note of the children that have ended; `wait` for one of them is not safe beside traps in bash.
  jobs >/dev/null 2>&1
}

finish() {
  tell_time
  kill_marked $containers
  text="finished=$now"
  line reason "$pod_reason"
  line message "$pod_message"
  beat
  put "$DIR/state/pod" "$text"
  rm -rf "$private" "$run"
}

# A second start of the same job (a requeue) cannot know what became of the first: nothing is run twice.
refuse_second_start() {
  if [ -e "$DIR/state/pod" ]; then exit 0; fi
  old=$(sed -n 's/^pid=//p' "$DIR/state/supervisor" 2>/dev/null)
  if [ "$old" ] && grep -qszxF -- "$DIR" "/proc/$old/cmdline"; then exit 3; fi
  kill_marked $containers
  for name in $containers; do
    grep -qs '^state=terminated' "$DIR/state/c.$name" && continue
    put "$DIR/state/c.$name" "$(grep -sE '^(restarts|started)=' "$DIR/state/c.$name")
state=terminated
reason=ContainerStatusUnknown
message=The job was started a second time and could not learn what became of the container
exit=137
finished=$now"
  done
  pod_reason=NodeLost pod_message='The job was interrupted and started a second time; it is not run twice'
  finish
  exit 1
}

run_job() {
  trap : HUP
  private=
  trap 'asked=1' TERM INT
  asked= tick_at=0
  exec </dev/null >>"$DIR/supervisor.log" 2>&1
  cd /
  second=${INTERLINK_SECOND_MS:-1000}
  # shellcheck source=/dev/null
  . "$DIR/conf"
  run=$DIR/run
  pod_reason= pod_message= stopping= stop_until= heard= init_failed= started_all= passed=0 next=0
  boot=0
  set_clock
  tell_time
  begun=$now memory_at=$now
  mkdir -p "$DIR/state" "$DIR/log" "$DIR/message"
  mkdir "$run" 2>/dev/null || refuse_second_start
  if ! mkfifo "$run/wake" 2>/dev/null; then
    # Some shared file systems have no pipes.
    private=$(mktemp -d "${TMPDIR:-/tmp}/interlink.XXXXXX") && rmdir "$run" && ln -s "$private" "$run" && mkfifo "$run/wake"
  fi
  exec 3<>"$run/wake"
  timed_read=
  # shellcheck disable=SC3045
  wake && read -r -t 0.5 _ <&3 2>/dev/null && timed_read=1
  beat
  find_tools
  if [ -z "$session" ]; then
    pod_reason=StartError pod_message='neither setsid nor perl is installed where the job runs; install util-linux'
    finish
    exit 1
  fi
  count=0 ordered=
  for name in $containers; do
    i=$((count += 1))
    declare_container "$name"
    case $kind in main) ;; *) ordered=1 ;; esac
  done
  i=0
  while [ $((i += 1)) -le "$count" ]; do
    load "$i"
    [ "$ordered" ] || reason=ContainerCreating
    write_state
    save
  done

  while :; do
    tell_time
    next=$((now + second))
    look_for_stop
    [ "$stopping$started_all" ] || advance
    i=0
    while [ $((i += 1)) -le "$count" ]; do
      load "$i"
      step
      write_state
      save
    done
    [ -z "$init_failed" ] && ! all_of main || [ "$stopping" ] || begin_end "$grace"
    if [ "$stopping" ]; then
      step_end
      all_of '*' && break
    fi
    [ "$stopping$started_all" ] || look_again
    if [ "$now" -ge "$memory_at" ]; then
      i=0
      while [ $((i += 1)) -le "$count" ]; do
        load "$i"
        case $phase in hook | run | stop) watch_memory && save ;; esac
      done
      memory_at=$((now + 2 * second))
    fi
    if [ "$now" -ge "$beat_at" ]; then
      set_clock
      beat
    fi
    nap
  done
  i=0 failed=0
  while [ $((i += 1)) -le "$count" ]; do
    load "$i"
    write_state
    [ "$kind" = sidecar ] || [ "$code" = 0 ] || failed=1
  done
  finish
  exit "$failed"
}

# What a step made possible (an init container has ended, a sidecar is up) need not wait for the next round.
look_again() {
  i=0
  while [ $((i += 1)) -le "$count" ]; do
    eval "k=\$c${i}_kind p=\$c${i}_phase u=\$c${i}_up"
    [ "$i" -gt "$passed" ] || continue
    case $k$p$u in initdone? | sidecarrun1) soon "$now" ;; esac
    return 0
  done
}

mode=${1:-} DIR=${2:-}
case $mode in
run) run_job ;;
start | enter)
  name=$3
  shift 3
  become "$@"
  ;;
action)
  name=$3
  sh=${INTERLINK_SH:-/bin/sh} second=${INTERLINK_SECOND_MS:-1000} perl=$5 python=$6
  act "$4"
  ;;
reap)
  # shellcheck source=/dev/null
  . "$DIR/conf"
  kill_marked $containers
  ;;
*)
  echo 'usage: supervisor.sh run|reap DIR' >&2
  exit 2
  ;;
esac
