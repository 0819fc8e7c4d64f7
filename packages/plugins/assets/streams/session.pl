# Gives a command pipes or a terminal: session.pl pipes|terminal|held-pipes|held-terminal COMMAND...
#
# stdin is a series of frames: a channel (1 byte), a length (4 bytes, big endian), a body. Channel 0 is what the command
# reads, its end where the body is empty; channel 4 the rows and columns of the terminal (2 bytes each). The end of
# the frames is a hang-up: the command gets HUP, and KILL after two seconds. stdout and stderr are the command's. The
# exit code is its own, or 128 and the signal. What the command leaves in the background does not keep this waiting.
# A runtime may start the command for us, as no child of ours: then INTERLINK_SESSION in its environment is the process
# that we have started, its id and start time with a dot between.
# `held` is the first process of a container, whose end is for others to ask: signals are passed over.
use strict;
use warnings;
use Fcntl;
use POSIX ();
use Time::HiRes ();

my ($kind, @command) = @ARGV;
my $held = $kind =~ s/^held-//;
my $terminal = $kind eq 'terminal';
my $machine = (POSIX::uname())[4];
# tty_ioctl(4), ioctl_tty(2)
my ($set_size, $get_number, $unlock) =
  $machine =~ /^(ppc|mips|sparc)/ ? (0x80087467, 0x40045430, 0x80045431) : (0x5414, 0x80045430, 0x40045431);
my $set_controlling = 0x540e;
my $most = 256 * 1024;

sub give_up { print STDERR "$_[0]: \l$!\n"; exit 126 }
sub content { open(my $in, '<', $_[0]) or return ''; local $/; return readline($in) // '' }
sub nonblocking { fcntl($_, F_SETFL, fcntl($_, F_GETFL, 0) | O_NONBLOCK) for @_ }

$SIG{PIPE} = 'IGNORE';
my $hung_up = 0;
$SIG{$_} = $held ? 'IGNORE' : sub { $hung_up ||= Time::HiRes::time() } for qw(HUP INT TERM);
$SIG{CHLD} = sub { };

my ($frames, $typed, $typed_ended, $size) = ('', '', 0, undef);
my ($to, @from);

# Takes whole frames; what is typed waits in $typed.
sub take_frames {
  while (length $frames >= 5) {
    my ($channel, $length) = unpack 'CN', $frames;
    $hung_up ||= Time::HiRes::time() if $length > 64 * $most;
    last if length $frames < 5 + $length;
    my $body = substr $frames, 5, $length;
    substr($frames, 0, 5 + $length) = '';
    if ($channel == 0) { $length ? ($typed .= $body) : ($typed_ended = 1) }
    elsif ($channel == 4 && $length == 4) {
      $size = pack 'S4', unpack('n2', $body), 0, 0;
      ioctl($to, $set_size, $size) if $terminal && $to;
    }
  }
}

sub read_frames {
  my $got = sysread STDIN, $frames, 65536, length $frames;
  return if !defined $got && ($!{EAGAIN} || $!{EINTR});
  $got ? take_frames() : ($hung_up ||= Time::HiRes::time());
}

my ($slave, @theirs);
if ($terminal) {
  sysopen($to, '/dev/ptmx', O_RDWR | O_NOCTTY) or give_up('no terminal: /dev/ptmx');
  my $number = pack 'i', 0;
  ioctl($to, $unlock, $number) or give_up('no terminal');
  ioctl($to, $get_number, $number) or give_up('no terminal');
  my $path = '/dev/pts/' . unpack('i', $number);
  sysopen($slave, $path, O_RDWR | O_NOCTTY) or give_up("no terminal: $path");
  # The first size usually comes at once: the command then never sees another.
  vec(my $in, 0, 1) = 1;
  read_frames() if !$held && select($in, undef, undef, 0.2) > 0;
  $size //= pack 'S4', 24, 80, 0, 0;
  ioctl($slave, $set_size, $size);
  @from = ({ in => $to, out => \*STDOUT, held => '' });
  @theirs = ($slave) x 3;
} else {
  pipe(my $read_in, $to) && pipe(my $out, my $write_out) && pipe(my $err, my $write_err) or give_up('pipe');
  @from = ({ in => $out, out => \*STDOUT, held => '' }, { in => $err, out => \*STDERR, held => '' });
  @theirs = ($read_in, $write_out, $write_err);
}

my $child = fork() // give_up('fork');
if (!$child) {
  POSIX::setsid();
  ioctl($slave, $set_controlling, 0) if $terminal;
  $SIG{$_} = 'DEFAULT' for qw(PIPE HUP INT TERM CHLD);
  POSIX::dup2(fileno $theirs[$_], $_) for 0 .. 2;
  close $_ for $to, grep { fileno $_ > 2 } map { $_->{in} } @from;
  $ENV{TERM} //= 'xterm' if $terminal;
  exec { $command[0] } @command or give_up("exec: \"$command[0]\"");
}
close $_ for @theirs;

# From the state on, as the name before it may hold anything; see proc_pid_stat(5).
sub stat_of { content("/proc/$_[0]/stat") =~ /^.*\) (.*)/s ? split(' ', $1) : () }
my $mark = join '', "\0INTERLINK_SESSION=$child.", (stat_of($child))[19] // 0, "\0";

# The first process of the command where a runtime has started it: the oldest that has our mark.
sub started_for_us {
  my %start = map { $_ => (stat_of($_))[19] // 'inf' } grep { index("\0" . content("/proc/$_/environ"), $mark) >= 0 } map { m{(\d+)} } glob '/proc/[0-9]*';
  return (sort { $start{$a} <=> $start{$b} || $a <=> $b } keys %start)[0];
}

nonblocking(\*STDIN, \*STDOUT, \*STDERR, $to, map { $_->{in} } @from);

my ($code, $killed, $quiet) = (undef, 0, 0);
while (1) {
  if (!defined $code && waitpid($child, POSIX::WNOHANG()) == $child) {
    $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
  }
  my $now = Time::HiRes::time();
  if ($hung_up) {
    last if defined $code;
    kill HUP => -$child if !$killed++;
    $to = undef, @from = () if $to;
    kill KILL => -$child if $now - $hung_up > 2;
  }
  last if defined $code && !grep({ $_->{held} ne '' } @from) && (!grep({ $_->{in} } @from) || $quiet);

  my ($in, $out) = ('', '');
  vec($in, 0, 1) = 1 if !$hung_up && length($typed) < $most;
  vec($out, fileno $to, 1) = 1 if $to && $typed ne '';
  for (@from) {
    if ($_->{held} ne '') { vec($out, fileno $_->{out}, 1) = 1 }
    elsif ($_->{in}) { vec($in, fileno $_->{in}, 1) = 1 }
  }
  my $ready = select($in, $out, undef, $hung_up || defined $code ? 0.1 : 0.5);
  $quiet = $ready == 0 && defined $code;
  next if $ready <= 0;

  if (vec($in, 0, 1)) { read_frames() }
  if ($to && $typed ne '' && vec($out, fileno $to, 1)) {
    my $put = syswrite $to, $typed, length $typed;
    if (defined $put) { substr($typed, 0, $put) = '' }
    elsif (!$!{EAGAIN} && !$!{EINTR}) { $typed = '', $typed_ended = 1 }
  }
  if ($typed_ended && $typed eq '' && $to && !$terminal) { close $to; $to = undef }
  if (!$to && $typed ne '') { $typed = '' }
  for (@from) {
    if ($_->{held} ne '' && vec($out, fileno $_->{out}, 1)) {
      my $put = syswrite $_->{out}, $_->{held}, length $_->{held};
      if (defined $put) { substr($_->{held}, 0, $put) = '' }
      elsif (!$!{EAGAIN} && !$!{EINTR}) { $_->{held} = '', $_->{in} = undef }
    } elsif ($_->{in} && vec($in, fileno $_->{in}, 1)) {
      my $got = sysread $_->{in}, $_->{held}, 65536;
      # A terminal that nobody has open any more is an error, EIO.
      $_->{in} = undef if defined $got ? !$got : !$!{EAGAIN} && !$!{EINTR};
    }
  }
}
if ($hung_up) {
  kill KILL => -$child;
  my $started;
  while (Time::HiRes::time() - $hung_up < 2) {
    kill HUP => -$started if !$started && ($started = started_for_us());
    Time::HiRes::sleep(0.2);
  }
  $started //= started_for_us();
  kill KILL => -$started if $started;
}
exit($code // 129);
