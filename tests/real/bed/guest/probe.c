/* The probe writer: a log of numbered records on a disk, each flushed before it is told to be kept. See docs/real-faults.md.

   probe DEVICE LINK. The log begins at 64 MiB with a block that names the VM; without it there is nothing to do. Every word is
   an Ethernet broadcast: no address, no agent and no daemon of the host is needed for it. A child says that the VM runs, also
   while its disk does not answer. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define BEGIN (64ULL << 20)
#define ETHERTYPE 0x88b5 /* for local experiments */
#define PAUSE_US 80000
#define BEAT_US 200000

struct block { /* of the log, and with the first four fields of its head; big-endian */
    char magic[8];
    uint64_t vm, boot, id, seq, nonce, uptime;
    char filling[BLOCK - 8 * 7 - 8];
    uint64_t checksum;
} __attribute__((packed));

struct word {
    uint8_t to[6], from[6];
    uint16_t ethertype;
    char magic[4];
    char kind; /* B: runs; A: this record is kept */
    uint8_t padding[3];
    uint64_t vm, boot, id, seq, nonce, uptime;
} __attribute__((packed));

static uint64_t vm, boot, id;
static int line = -1, link_index;
static uint8_t own[6];

static uint64_t uptime(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static uint32_t crc(const void *data, size_t length)
{
    static uint32_t table[256];
    if (!table[1])
        for (uint32_t n = 0; n < 256; n++) {
            uint32_t c = n;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? 0xedb88320U ^ (c >> 1) : c >> 1;
            table[n] = c;
        }
    uint32_t c = 0xffffffffU;
    for (const uint8_t *each = data; length--; each++)
        c = table[(c ^ *each) & 255] ^ (c >> 8);
    return ~c;
}

static int is_whole(const struct block *block, const char *magic)
{
    return !memcmp(block->magic, magic, 8) && be64toh(block->checksum) == crc(block, BLOCK - 8);
}

static void say(char kind, uint64_t seq, uint64_t nonce)
{
    struct word word = {.ethertype = htons(ETHERTYPE), .kind = kind, .vm = htobe64(vm), .boot = htobe64(boot)};
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = link_index, .sll_halen = 6};
    memset(word.to, 0xff, 6);
    memset(to.sll_addr, 0xff, 6);
    memcpy(word.from, own, 6);
    memcpy(word.magic, "AVEP", 4);
    word.id = htobe64(id);
    word.seq = htobe64(seq);
    word.nonce = htobe64(nonce);
    word.uptime = htobe64(uptime());
    sendto(line, &word, sizeof word, 0, (struct sockaddr *)&to, sizeof to);
}

static int speak_on(const char *name)
{
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if ((line = socket(AF_PACKET, SOCK_RAW, 0)) < 0 || ioctl(line, SIOCGIFINDEX, &request))
        return -1;
    link_index = request.ifr_ifindex;
    if (ioctl(line, SIOCGIFHWADDR, &request))
        return -1;
    memcpy(own, request.ifr_hwaddr.sa_data, 6);
    return 0;
}

static uint64_t place(uint64_t seq)
{
    return BEGIN + seq * BLOCK;
}

static int is_there(int disk, struct block *block, uint64_t seq)
{
    while (pread(disk, block, BLOCK, place(seq)) != BLOCK)
        usleep(200000);
    return is_whole(block, "AVERECOR");
}

/* The number of the last record: they are written one after the other, so all before it are there. */
static uint64_t last(int disk, struct block *block, uint64_t room)
{
    uint64_t there = 0, not_there = room;
    while (not_there - there > 1) {
        uint64_t middle = there + (not_there - there) / 2;
        if (is_there(disk, block, middle))
            there = middle;
        else
            not_there = middle;
    }
    return there;
}

int main(int argc, char **argv)
{
    int disk;
    struct block *block;
    if (argc != 3 || posix_memalign((void **)&block, BLOCK, BLOCK))
        return 2;
    if ((disk = open(argv[1], O_RDWR | O_DIRECT)) < 0)
        return 1;
    if (pread(disk, block, BLOCK, BEGIN) != BLOCK || !is_whole(block, "AVEPROBE"))
        return 1;
    vm = be64toh(block->vm);
    uint64_t room = be64toh(block->seq);
    if (speak_on(argv[2]))
        return 1;
    uint64_t seq = last(disk, block, room);
    boot = seq && is_there(disk, block, seq) ? be64toh(block->boot) + 1 : 1;
    getrandom(&id, sizeof id, 0);
    if (!fork()) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            say('B', 0, 0);
            usleep(BEAT_US);
        }
    }
    while (++seq < room) {
        uint64_t nonce;
        getrandom(&nonce, sizeof nonce, 0);
        memset(block, 0, BLOCK);
        memcpy(block->magic, "AVERECOR", 8);
        block->vm = htobe64(vm);
        block->boot = htobe64(boot);
        block->id = htobe64(id);
        block->seq = htobe64(seq);
        block->nonce = htobe64(nonce);
        block->uptime = htobe64(uptime());
        memset(block->filling, (int)(nonce & 255), sizeof block->filling);
        block->checksum = htobe64(crc(block, BLOCK - 8));
        while (pwrite(disk, block, BLOCK, place(seq)) != BLOCK || fdatasync(disk))
            usleep(200000); /* the same record again: whether it is kept is not known */
        say('A', seq, nonce);
        usleep(PAUSE_US);
    }
    return 0;
}
