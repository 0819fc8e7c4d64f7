# Starts programs and makes connections where a job runs, for whoever holds stdin and stdout: hub.pl DIRECTORY [SECONDS]
#
# DIRECTORY is that of the job; programs get the environment of its supervisor. With SECONDS it ends when it has heard
# nothing for so long, or the supervisor has ended. Once it is ready it says a line,
# interlink-hub; from then on both ways consist of frames: a session (4 bytes, big endian), a kind (1 byte), a length
# (4 bytes), a body.
#
#   to here    o  start a program, its words between NULs    p  connect to a port of this machine's loopback
#              h  the same for a command: its group gets HUP, and KILL after two seconds, when whoever asked has gone,
#                 and what it leaves in the background is not waited for
#              i  input; its end where the body is empty      x  whoever asked has gone
#              c  so many bytes (4 bytes) of 1 or 2 (1 byte, as a character) have been taken
#              n  nothing; answered with the same
#   from here  s  connected     1 2  output, error output, or of the connection; its end where the body is empty
#              e  all has ended: the exit code, or 128 and the signal     f  it cannot be done, and why
#              c  so many bytes of input have been taken
#
# Either side sends at most a window of what has not been taken, so a session that stands still holds up no other. The
# end of stdin, and TERM, are that of the input of all.
use strict;
use warnings;
use Fcntl;
use POSIX ();
use Socket;
use Time::HiRes ();

my ($directory, $silence) = @ARGV;
my ($window, $block, $most, $quiet) = (1024 * 1024, 64 * 1024, 250, 0.1);

sub content { local $/; open(my $in, '<', $_[0]) or return ''; return readline($in) // '' }
my ($supervisor) = content("$directory/state/supervisor") =~ /^pid=(\d+)$/m;
my $environment = content('/proc/' . ($supervisor // 0) . '/environ');
if ($environment eq '') {
  print STDERR "the supervisor of the job does not run here\n";
  exit 3;
}
%ENV = map { /^([^=]+)=(.*)$/s ? ($1, $2) : () } split /\0/, $environment;
chdir '/';

sub nonblocking { fcntl($_, F_SETFL, fcntl($_, F_GETFL, 0) | O_NONBLOCK) for @_ }
my ($leaving, $heard, %sessions) = (0, time);
my ($frames, $out) = ('', "interlink-hub\n");
pipe(my $woken, my $waker) or exit 3;
nonblocking(\*STDIN, \*STDOUT, $woken, $waker);
$SIG{PIPE} = 'IGNORE';
$SIG{HUP} = $SIG{INT} = 'IGNORE';
$SIG{CHLD} = sub { syswrite $waker, '.' };
$SIG{TERM} = sub { $leaving ||= time; syswrite $waker, '.' };

sub report { $out .= pack('NaN', $_[0], $_[1], length $_[2]) . $_[2] }

sub start {
  my ($id, $is_command, @words) = @_;
  pipe(my $in, my $to) && pipe(my $from, my $write_out) && pipe(my $errors, my $write_err) or return report($id, 'f', "no pipe: $!");
  defined(my $pid = fork) or return report($id, 'f', "no process: $!");
  if (!$pid) {
    POSIX::setsid();
    $SIG{$_} = 'DEFAULT' for qw(PIPE HUP INT CHLD TERM);
    # The last handles to be duplicated are above the first three already.
    POSIX::dup2(fileno $in, 0), POSIX::dup2(fileno $write_out, 1), POSIX::dup2(fileno $write_err, 2);
    no warnings 'exec';
    exec { $words[0] } @words or print STDERR "$words[0]: $!\n";
    POSIX::_exit(127);
  }
  nonblocking($to, $from, $errors);
  $sessions{$id} = { pid => $pid, is_command => $is_command, in => $to, typed => '', from => { 1 => [$from, $window], 2 => [$errors, $window] } };
}

# Of both families, one after the other: what listens on localhost may do so on either.
sub connect_next {
  my ($id, $session) = @_;
  while (my $address = shift @{ $session->{left} }) {
    socket(my $socket, sockaddr_family($address), SOCK_STREAM, 0) or next;
    nonblocking($socket);
    setsockopt($socket, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1);
    $session->{socket} = $socket;
    return if connect($socket, $address) || $!{EINPROGRESS};
    $session->{why} //= "$!";
  }
  delete $sessions{$id};
  report($id, 'f', $session->{why} // 'there is no loopback');
}

sub connected {
  my ($id, $session) = @_;
  my $socket = delete $session->{socket};
  if ($! = unpack 'i', getsockopt($socket, SOL_SOCKET, SO_ERROR)) {
    $session->{why} //= "$!";
    return connect_next($id, $session);
  }
  $session->{in} = $socket;
  $session->{from} = { 1 => [$socket, $window] };
  report($id, 's', '');
}

sub end_input {
  my ($session) = @_;
  my $in = delete $session->{in} or return;
  $session->{pid} ? close $in : shutdown $in, 1;
}

sub leave {
  my ($id, $session) = @_;
  @$session{qw(gone typed ended)} = (1, '', 1);
  return delete $sessions{$id} if !$session->{pid};
  end_input($session);
  return if !$session->{is_command};
  kill HUP => -$session->{pid};
  $session->{kill_at} = Time::HiRes::time() + 2;
}

sub take {
  my ($id, $kind, $body) = @_;
  return report($id, 'n', '') if $kind eq 'n';
  if ($kind =~ /[ohp]/) {
    return report($id, 'f', "there are $most sessions already") if keys %sessions >= $most;
    return start($id, $kind eq 'h', split /\0/, $body, -1) if $kind ne 'p';
    my $session = $sessions{$id} = { typed => '', from => {} };
    $session->{left} = [ pack_sockaddr_in($body, INADDR_LOOPBACK), pack_sockaddr_in6($body, Socket::IN6ADDR_LOOPBACK()) ];
    return connect_next($id, $session);
  }
  my $session = $sessions{$id} or return;
  if ($kind eq 'x') { leave($id, $session) }
  elsif ($kind eq 'c') {
    my ($which, $bytes) = unpack 'aN', $body;
    $session->{from}{$which}[1] += $bytes if $session->{from}{$which};
  } elsif ($body eq '') { $session->{ended} = 1 }
  # What nobody reads any more is taken.
  elsif ($session->{in} || $session->{socket}) { $session->{typed} .= $body }
  else { report($id, 'c', pack 'N', length $body) }
}

sub read_frames {
  my $got = sysread STDIN, $frames, 2 * $block, length $frames;
  return if !defined $got && ($!{EAGAIN} || $!{EINTR});
  $heard = time;
  if (!$got) { $leaving ||= time }
  my $at = 0;
  while (length($frames) - $at >= 9) {
    my ($id, $kind, $length) = unpack 'NaN', substr $frames, $at, 9;
    last if length($frames) - $at - 9 < $length;
    take($id, $kind, substr $frames, $at + 9, $length);
    $at += 9 + $length;
  }
  substr($frames, 0, $at, '');
}

sub write_input {
  my ($id, $session) = @_;
  my $put = syswrite $session->{in}, $session->{typed}, $block;
  if (!defined $put) {
    return if $!{EAGAIN} || $!{EINTR};
    $put = length $session->{typed};
    end_input($session);
  }
  substr($session->{typed}, 0, $put, '');
  report($id, 'c', pack 'N', $put);
}

sub read_output {
  my ($id, $session, $which) = @_;
  my $from = $session->{from}{$which};
  my $wanted = $session->{gone} || $from->[1] > $block ? $block : $from->[1];
  my $got = sysread($from->[0], my $bytes, $wanted);
  return if !defined $got && ($!{EAGAIN} || $!{EINTR});
  if (!$got) {
    $session->{why} = "$!" if !defined $got && !$session->{pid};
    delete $session->{from}{$which};
  }
  return if $session->{gone};
  $session->{quiet_at} &&= Time::HiRes::time() + $quiet;
  $from->[1] -= $got // 0;
  report($id, $which, $bytes // '');
}

# The end of a command is that of its first process, once nothing more comes; what nobody takes yet is still to come.
sub settle_command {
  my ($id, $session) = @_;
  my $now = Time::HiRes::time();
  if ($session->{gone}) {
    kill KILL => -$session->{pid} if defined $session->{code} || $now > $session->{kill_at};
    $session->{from} = {} if defined $session->{code};
    return;
  }
  return if !defined $session->{code};
  $session->{quiet_at} ||= $now + $quiet;
  return if $now < $session->{quiet_at} || grep { $_->[1] <= 0 } values %{ $session->{from} };
  report($id, $_, '') for keys %{ $session->{from} };
  $session->{from} = {};
}

# Whether it is over.
sub settle {
  my ($id, $session) = @_;
  settle_command($id, $session) if $session->{is_command};
  end_input($session) if $session->{ended} && $session->{typed} eq '' && $session->{in};
  return if %{ $session->{from} } || $session->{socket} || ($session->{pid} ? !defined $session->{code} : $session->{in} && !$session->{why});
  delete $sessions{$id};
  return if $session->{gone};
  $session->{why} ? report($id, 'f', $session->{why}) : report($id, 'e', $session->{code} // 0);
}

while (1) {
  while ((my $pid = waitpid -1, POSIX::WNOHANG()) > 0) {
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    for (values %sessions) { $_->{code} = $code if ($_->{pid} // 0) == $pid }
  }
  $leaving ||= time if $silence && (time - $heard > $silence || !kill 0, $supervisor);
  if ($leaving) {
    leave($_, $sessions{$_}) for grep { !$sessions{$_}{gone} } keys %sessions;
    last if !%sessions || time - $leaving > 5;
  }
  settle($_, $sessions{$_}) for keys %sessions;

  my ($in, $writable) = ('', '');
  vec($in, 0, 1) = 1 if !$leaving;
  vec($in, fileno $woken, 1) = 1;
  vec($writable, 1, 1) = 1 if $out ne '' && !$leaving;
  for my $session (values %sessions) {
    vec($writable, fileno $session->{socket}, 1) = 1 if $session->{socket};
    vec($writable, fileno $session->{in}, 1) = 1 if $session->{in} && $session->{typed} ne '';
    next if length $out > 4 * $block;
    for (values %{ $session->{from} }) { vec($in, fileno $_->[0], 1) = 1 if $session->{gone} || $_->[1] > 0 }
  }
  my $is_ending = $leaving || grep { $_->{quiet_at} || $_->{kill_at} } values %sessions;
  next if select($in, $writable, undef, $is_ending ? $quiet : $silence ? 5 : undef) <= 0;

  sysread($woken, my $dots, 64) if vec($in, fileno $woken, 1);
  if (vec($writable, 1, 1)) {
    my $put = syswrite STDOUT, $out, $block;
    if (defined $put) { substr($out, 0, $put, '') }
    elsif (!$!{EAGAIN} && !$!{EINTR}) { $leaving ||= time }
  }
  for my $id (keys %sessions) {
    my $session = $sessions{$id};
    connected($id, $session), next if $session->{socket} && vec($writable, fileno $session->{socket}, 1);
    write_input($id, $session) if $session->{in} && $session->{typed} ne '' && vec($writable, fileno $session->{in}, 1);
    for my $which (keys %{ $session->{from} }) {
      read_output($id, $session, $which) if vec($in, fileno $session->{from}{$which}[0], 1);
    }
  }
  read_frames() if vec($in, 0, 1);
}
exit 0;
