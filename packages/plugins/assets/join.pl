# Becomes a process of an Apptainer container: join.pl PIDFILE MARK COMMAND...
#
# The file holds the id of Apptainer's own process. Of its children the container's first process is the one that has
# INTERLINK_INSTANCE=MARK in its environment, and nothing for Apptainer. Its namespaces, root, working
# directory and environment are taken over in this one process: no program of the machine starts in between, so that
# none, nor its loader, ever sees the container's environment. See setns(2).
use strict;
use warnings;
use POSIX ();

my ($file, $mark, @command) = @ARGV;
my %calls = (x86_64 => 308, aarch64 => 268, riscv64 => 268, ppc64le => 350, s390x => 339);
my $machine = (POSIX::uname())[4];
my $setns = $calls{$machine} // give_up("cannot enter a container on $machine");

sub give_up { print STDERR "@_\n"; exit 126 }
sub pause { select(undef, undef, undef, 0.05) }
sub content { local $/; open(my $in, '<', $_[0]) or return ''; return readline($in) // '' }

my ($child, %environment);
until (defined $child) {
  # A probe or hook may come while the container is still being made.
  my ($leader) = content($file) =~ /^(\d+)\n/ or pause(), next;
  -e "/proc/$leader" or give_up('the container is not running');
  for my $pid (split ' ', content("/proc/$leader/task/$leader/children")) {
    my %seen = map { /^([^=]+)=(.*)$/s ? ($1, $2) : () } split /\0/, content("/proc/$pid/environ");
    next if ($seen{INTERLINK_INSTANCE} // '') ne $mark or exists $seen{APPTAINERENV_INTERLINK_INSTANCE};
    ($child, %environment) = ($pid, %seen);
  }
  pause() unless defined $child;
}

sub entered { $_[0] or give_up("the container cannot be entered: $!") }

sub namespace { entered(open(my $namespace, '<', "/proc/$child/ns/$_[0]")); return $namespace }

# Where this process is not in it yet.
sub enter {
  my ($namespace, $kind) = @_;
  return if (stat $namespace)[1] == (stat "/proc/self/ns/$kind")[1];
  entered(syscall($setns, fileno($namespace), 0) == 0);
}

# A namespace is entered from the user namespace that owns it: NS_GET_USERNS, ioctl_ns(2).
my ($user, $uts, $mounts) = map { namespace($_) } qw(user uts mnt);
entered(open(my $owner, '<&=', entered(ioctl($uts, 0xb701, 0)) + 0));
enter($owner, 'user');
enter($uts, 'uts');
enter($user, 'user');
# A file system that is served by a process, as that of a .sif, can be looked at from its own user namespace only.
entered(opendir(my $root, "/proc/$child/root"));
entered(opendir(my $place, "/proc/$child/cwd"));
enter($mounts, 'mnt');
entered(chdir($root) && chroot('.') && chdir($place));
my $terminal = -t STDIN ? $ENV{TERM} : undef;
%ENV = %environment;
$ENV{TERM} //= $terminal if defined $terminal;
no warnings 'exec';
exec { $command[0] } @command or do {
  my $missing = $!{ENOENT};
  print STDERR "exec: \"$command[0]\": \l$!\n";
  exit($missing ? 127 : 126);
};
