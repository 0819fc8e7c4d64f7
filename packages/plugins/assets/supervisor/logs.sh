# One attempt of a container and its log, in a process of their own. Offers `watch_attempt`.

# Both streams of an attempt into one file of CRI lines. Ends with the last writer; USR2 says that nobody who
# still holds a pipe matters any more. What somebody may look at while it is typed does not wait for its newline.
log_perl='
use strict; use Time::HiRes; use POSIX ();
my ($eager, $log, @from) = @ARGV;
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
      substr($s->{rest}, 0, $pos) = "" if $pos;
      if ($eager && $s->{rest} ne "") { $out .= "$at $s->{tag} P $s->{rest}\n"; $s->{rest} = "" } }
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
    exec perl -e "$log_perl" -- "$interactive" "$1" "$2.out" "$2.err"
  fi
  trap '' TERM INT HUP USR1
  awk=awk
  # mawk would keep lines back until 4 KiB are full.
  case $(awk -W version 2>/dev/null </dev/null) in mawk*) awk='awk -W interactive' ;; esac
  set_seconds "$boot"
  LC_ALL=C $awk -v boot="$seconds" -v stream=stderr "$log_awk" <"$2.err" >>"$1" &
  LC_ALL=C $awk -v boot="$seconds" -v stream=stdout "$log_awk" <"$2.out" >>"$1"
  wait
}

# A batch system may signal the whole group; this process stays, to say how the container ended.
# shellcheck disable=SC2086
watch_attempt() {
  trap : TERM INT HUP USR1
  base=$run/$name
  find_interpreters
  write_log "$DIR/log/$name.$restarts" "$base" 3>&- &
  logger=$!
  echo "$logger" >"$base.logger"
  # In a subshell, lest this one says "Killed" into the container's log.
  if [ "$interactive" ] && [ "$perl" ]; then
    (exec perl "$DIR/session.pl" "held-$interactive" $sh "$DIR/c/$name/run" <>"$base.in" >"$base.out" 2>"$base.err" 3>&-)
  else
    (exec $session $sh "$DIR/c/$name/run" >"$base.out" 2>"$base.err" 3>&-)
  fi
  code=$?
  tell_time
  insist put "$base.exit" "$code $now"
  wake
  while kill -0 "$logger" 2>/dev/null; do wait "$logger"; done
  : >"$base.drained"
  wake
}
