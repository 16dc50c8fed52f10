"""The constants of the simulated world, each with its source.

"bed" is our measurement of the real stack on one machine (libvirt 9, QEMU 7.2 under emulation, tgt); "spec" is the
hardware's or protocol's own figure; "guess" is a round figure that nothing yet depends on and that measurements will replace.
"""

import msgspec

# Network and store
HOP_SECONDS = 0.0002  # one way, mean, within a rack: spec, 10 GbE with two switches
RETRANSMIT_SECONDS = 0.2  # a lost packet is sent again after so long, then twice as long: TCP_RTO_MIN of Linux
GIVE_UP_SECONDS = 30.0  # the longest such timer: beyond it every client here has given up
WINDOW_MIB = 6.0  # a stream's largest receive window: net.ipv4.tcp_rmem of Linux
SEGMENT_MIB = 1.22 * 1460 / 2**20  # over the root of the loss it is a stream's window: Mathis et al., CCR 1997
JOURNAL_SECONDS = 0.002  # a majority commit with journal on SSDs: bed, mongod 0.8-2 ms
FIND_SECONDS_PER_DOCUMENT = 2e-6  # bed: 1,000 small documents decode in about 2 ms
SELECT_SECONDS = 5.0  # how long a client looks for a primary before it gives up: the driver's setting
ANSWER_SECONDS = 5.0  # how long it waits for an answer: the driver's setting
ELECTION_SECONDS = (2.0, 8.0)  # bed: 1-6 s on one machine; spec: default election timeout 10 s
CHANGES_KEPT = 50_000  # commits that a watch can resume over: an oplog's size

# Block storage
META_ELECTION_SECONDS = (3.0, 10.0)  # guess: the storage's meta service elects as fast as a replica set
STORAGE_SECONDS = 30.0  # how long a client of the storage waits for an answer: our setting
TAKE_OVER_SECONDS = 10.0  # after which a member of higher priority is made leader: the order of MongoDB's and etcd's
WRITE_SECONDS = 0.0008  # one replicated 4 KiB write on SSDs: spec
DRAIN_SECONDS = 1.0  # a switch-over waits for the guest's writes to be acknowledged: guess
GUEST_WRITE_SECONDS = 5.0  # each host's guests write at least this often: a journal's commit interval (ext4: 5 s)
REPLACEMENT_SECONDS = 30.0  # how long an initiator keeps writes of a lost session: our setting, below a host's lease
VOLUME_CREATE_SECONDS = 0.05  # bed: a sparse LUN and its target, 20-60 ms
VOLUME_DELETE_SECONDS = 0.03  # bed
VOLUME_GROW_SECONDS = 0.03  # guess: as long as to delete one
ATTACH_SECONDS = 0.015  # bed: unbind, drop the connection, bind took 15 ms
DISK_SECONDS = 0.0005  # local SSD, one synchronous write: spec

# Virtual machines
DEFINE_SECONDS = 0.05  # bed: libvirt define and start until the process exists 40-80 ms
BOOT_SECONDS = (0.6, 1.2)  # until QEMU runs its vCPUs, under KVM: spec, q35 with OVMF
GUEST_CPU = 0.1  # of each of its vCPUs, what a guest uses: guess
AGENT_SECONDS = 0.002  # until its agent has answered: bed, 1-3 ms
RESIZE_SECONDS = 0.01  # bed: block_resize, 5-15 ms
PAUSE_SECONDS = 0.017  # bed: QMP stop
RESUME_SECONDS = 0.017  # bed
DESTROY_SECONDS = 0.1  # bed: SIGKILL until reaped, 60-150 ms
SHUTDOWN_SECONDS = (2.0, 12.0)  # a guest's own shutdown: spec, systemd without slow units
MIGRATION_MIB_PER_SECOND = 1100.0  # one stream on 10 GbE: spec
DIRTY_MIB_PER_SECOND = 90.0  # a busy guest rewrites: spec, Clark et al., NSDI 2005, 3,000-4,000 pages a second, scaled
MIGRATION_ROUNDS = 30  # then it gives up: QEMU's auto-converge is not modelled yet
DOWNTIME_SECONDS = 0.3  # QEMU's default downtime limit
CONVERGENCE_SECONDS = 300.0  # how long a migration is tried that gets no nearer to its end: our setting
MIGRATION_SECONDS = 3 * 3600.0  # then a copy that is not complete is given up: our setting
QMP_SECONDS = 10.0  # how long a QEMU is waited for that answers nobody: our setting
MACHINE_BOOT_SECONDS = (40.0, 90.0)  # firmware and system of a server: guess
PROCESS_RESTART_SECONDS = (1.0, 3.0)  # systemd, RestartSec=1


class Hardware(msgspec.Struct, frozen=True):
    """How long things take on the hosts of a cluster: seconds, or the least and the most of them. All else is as above."""

    define: float = DEFINE_SECONDS
    boot: tuple[float, float] = BOOT_SECONDS
    pause: float = PAUSE_SECONDS
    resume: float = RESUME_SECONDS
    destroy: float = DESTROY_SECONDS
    shutdown: tuple[float, float] = SHUTDOWN_SECONDS
    migration_mib_per_second: float = MIGRATION_MIB_PER_SECOND
    machine_boot: tuple[float, float] = MACHINE_BOOT_SECONDS
    process_restart: tuple[float, float] = PROCESS_RESTART_SECONDS
    volume_create: float = VOLUME_CREATE_SECONDS
    volume_delete: float = VOLUME_DELETE_SECONDS
    volume_grow: float = VOLUME_GROW_SECONDS
    attach: float = ATTACH_SECONDS


SERVERS = Hardware()
# The bed of docs/real-bed.md: three hosts in one machine, guests under emulation. docs/both-worlds.md has what was measured.
BED = Hardware(
    boot=(0.2, 0.6),  # libvirt and QEMU, until its vCPUs run
    destroy=0.25,
    shutdown=(0.3, 1.0),  # a guest of busybox
    migration_mib_per_second=200.0,  # a target's QEMU that begins, and pages that are mostly empty
    machine_boot=(5.5, 6.5),  # namespaces, libvirtd, the supervisor and two Pythons
    process_restart=(2.0, 3.0),  # the bed's supervisor waits for 1 s, and a Python begins
)
HARDWARE = {"servers": SERVERS, "bed": BED}
