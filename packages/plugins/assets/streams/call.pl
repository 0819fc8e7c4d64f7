# Connects a job to its plugin, where nobody can reach the job: call.pl DIRECTORY
#
# DIRECTORY is that of the job. After __DATA__ come settings, a name and a value a line, up to an empty one, and then
# hub.pl, which serves the connection. The plugin makes this file for one pod; it is gone once it has been read, as it
# holds the token. https goes through openssl s_client, which is where perl's own modules for it are not.
# What goes wrong is said on stderr.
use strict;
use warnings;
use POSIX ();
use Socket qw(:DEFAULT :addrinfo);

my ($directory) = @ARGV;
my ($settings, $hub) = do { local $/; split /\n\n/, readline(DATA) // '', 2 };
close DATA;
unlink $0;
my %is = map { split / /, $_, 2 } split /\n/, $settings;
my $above = getppid;
my $authorities = "$directory/run/call.pem";
if ($is{authorities}) {
  open(my $out, '>', $authorities) or die "$authorities: $!\n";
  print $out pack 'H*', $is{authorities};
  close $out or die "$authorities: $!\n";
}
$| = 1;
$SIG{PIPE} = 'IGNORE';

sub plain {
  my ($error, @found) = getaddrinfo($is{host}, $is{port}, { socktype => SOCK_STREAM });
  die "$is{host}: $error\n" if $error;
  my $why;
  for (@found) {
    socket(my $socket, $_->{family}, $_->{socktype}, $_->{protocol}) or next;
    return $socket if connect $socket, $_->{addr};
    $why //= $!;
  }
  die "connect $is{host}:$is{port}: ", lcfirst $why // 'no address', "\n";
}

sub secured {
  socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!\n";
  my $is_address = $is{host} =~ /:|^[\d.]+$/;
  my @command = (
    qw(openssl s_client -quiet -verify_return_error),
    '-connect', ($is{host} =~ /:/ ? "[$is{host}]" : $is{host}) . ":$is{port}",
    $is_address ? ('-verify_ip', $is{host}) : ('-servername', $is{host}, '-verify_hostname', $is{host}),
    $is{authorities} ? ('-CAfile', $authorities) : ()
  );
  defined(my $pid = fork) or die "fork: $!\n";
  if (!$pid) {
    POSIX::dup2(fileno $theirs, $_) for 0, 1;
    no warnings 'exec';
    exec { $command[0] } @command or print STDERR "openssl: \l$!\n";
    POSIX::_exit(127);
  }
  return $ours;
}

# The answer is read byte by byte, as what follows is for hub.pl.
sub call {
  my $socket = $is{tls} ? secured() : plain();
  my $ask = join "\r\n", "GET $is{path} HTTP/1.1", "Host: $is{name}", 'Connection: Upgrade', 'Upgrade: interlink-hub', "Authorization: Bearer $is{token}", '', '';
  my $answer = '';
  syswrite $socket, $ask;
  while ($answer !~ /\r?\n\r?\n/ && length $answer < 16384) { sysread($socket, $answer, 1, length $answer) or last }
  return $socket if $answer =~ m{^HTTP/1\.1 101 };
  die $answer =~ m{^HTTP/\S+ (\d+[^\r\n]{0,80})} ? "$is{host}:$is{port} answers $1\n" : "$is{host}:$is{port} does not answer\n";
}

# Until then the plugin says that it is there, by newlines.
sub told_to_go {
  my ($socket) = @_;
  while (getppid == $above) {
    vec(my $in = '', fileno $socket, 1) = 1;
    select($in, undef, undef, $is{silence}) > 0 && sysread($socket, my $word, 1) or return;
    return 1 if $word eq '!';
  }
}

sub serve {
  my ($socket) = @_;
  POSIX::dup2(fileno $socket, $_) for 0, 1;
  close $socket;
  exec 'perl', '-e', $hub, '--', $directory, $is{silence} or die "perl: $!\n";
}

my $until = time + $is{seconds};
my ($pause, $told) = (1, '');
while (getppid == $above && ($is{keep} || time < $until)) {
  my $socket = eval {
    local $SIG{ALRM} = sub { die "$is{host}:$is{port} does not answer in time\n" };
    alarm 15;
    my $made = call();
    alarm 0;
    $made;
  };
  alarm 0;
  if ($socket && told_to_go($socket)) {
    defined(my $pid = $is{keep} ? fork : 0) or die "fork: $!\n";
    serve($socket) if !$pid;
    close $socket;
    waitpid $pid, 0;
    $pause = 1;
  } elsif (!$socket && $@ ne $told) {
    print STDERR $told = $@;
  }
  # Who is not known will not become so.
  last if !$is{keep} && !$socket && $@ =~ / answers 4/;
  1 while waitpid(-1, POSIX::WNOHANG()) > 0;
  sleep $pause;
  $pause = $pause * 2 > 60 ? 60 : $pause * 2 if $is{keep};
}
exit 1;
