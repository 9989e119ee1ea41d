/* Drains many UDP sockets and counts the datagrams, by the kernel's time of arrival. Answers requests for proof.
 *
 * usage: sink COUNTERS RECORDS SAMPLES DEADLINE_S SOCKET...    COUNTERS, RECORDS and each SOCKET are open descriptors
 *
 * For the first SAMPLES sockets it reads the content of datagrams (continuity counters, RTP sequence numbers, PCRs) and
 * writes a record for each datagram within the window. For the other sockets it reads only length and time. COUNTERS is
 * shared memory. It begins with the window [begin, end), which the bench sets, so that both programs have exactly the
 * same window. Ends at SIGTERM, at the deadline, and with its parent. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, HEAD = 64, FULL = 2048, PROOF = 45, TOKEN = 32, PACKET = 188, RTP = 12, REST_NS = 1000000 };
#define NO_PCR UINT64_MAX

struct header { volatile uint64_t begin_ns, end_ns; uint64_t spare[6]; };
struct counters { uint64_t total, datagrams, bytes, first_ns, last_ns, silence_ns, continuity_errors, sequence_gaps; };
struct record { uint64_t time_ns, pcr; uint32_t client; uint16_t bytes, pcr_packet; };
struct state { int fd; int sample; int sequence; uint8_t *continuity; struct counters *counters; };

static volatile sig_atomic_t stopping;
static FILE *records;
static struct header *window;
static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH];
static uint8_t data[BATCH][FULL];
static char control[BATCH][128];
static struct sockaddr_storage sources[BATCH];

static void stop(int number) { (void)number; stopping = 1; }

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* The kernel's time of arrival: when the datagram reached this end of the wire, not when the sink read it. */
static uint64_t arrival_ns(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            return t.tv_sec * 1000000000ull + t.tv_nsec;
        }
    return now_ns();
}

static uint64_t read_pcr(const uint8_t *packet)
{
    if (!(packet[3] & 0x20) || packet[4] < 7 || !(packet[5] & 0x10)) return NO_PCR;
    uint64_t base = (uint64_t)packet[6] << 25 | packet[7] << 17 | packet[8] << 9 | packet[9] << 1 | packet[10] >> 7;
    return base * 300 + ((packet[10] & 1) << 8 | packet[11]);
}

/* ISO/IEC 13818-1, 2.4.3.3: the counter counts payloads of a PID. One repetition is legal, and so is an announced jump
 * (discontinuity_indicator). */
static int breaks_continuity(struct state *s, const uint8_t *packet)
{
    int pid = (packet[1] & 0x1f) << 8 | packet[2], counter = packet[3] & 15;
    if (pid == 0x1fff || !(packet[3] & 0x10)) return 0;
    int last = s->continuity[pid];
    s->continuity[pid] = counter;
    if (last == 0xff || ((packet[3] & 0x20) && packet[4] && (packet[5] & 0x80))) return 0;
    return counter != last && counter != ((last + 1) & 15);
}

static void look_into(struct state *s, const uint8_t *datagram, unsigned length, int counted, struct record *r)
{
    unsigned at = length % PACKET == RTP ? RTP : 0, index = 0;
    if (at) {
        int sequence = datagram[2] << 8 | datagram[3];
        if (s->sequence >= 0 && counted) s->counters->sequence_gaps += (sequence - s->sequence - 1) & 0xffff;
        s->sequence = sequence;
    }
    for (; at + PACKET <= length; at += PACKET, index++) {
        const uint8_t *packet = datagram + at;
        if (packet[0] != 0x47) continue;
        int broken = breaks_continuity(s, packet);
        if (counted) s->counters->continuity_errors += broken;
        uint64_t pcr = r->pcr == NO_PCR ? read_pcr(packet) : NO_PCR;
        if (pcr != NO_PCR) { r->pcr = pcr; r->pcr_packet = index; }
    }
}

static void count(struct state *s, const uint8_t *datagram, unsigned length, uint64_t time_ns, uint32_t client)
{
    struct counters *c = s->counters;
    uint64_t begin = window->begin_ns, end = window->end_ns;
    int counted = begin && time_ns >= begin && time_ns < end;
    c->total++;
    if (!c->first_ns) c->first_ns = time_ns;
    if (counted) {
        uint64_t since = c->last_ns > begin ? c->last_ns : begin;
        if (time_ns > since && time_ns - since > c->silence_ns) c->silence_ns = time_ns - since;
        c->datagrams++;
        c->bytes += length;
    }
    c->last_ns = time_ns;
    if (s->sample && length <= FULL) {
        struct record r = {time_ns, NO_PCR, client, length, 0};
        look_into(s, datagram, length, counted, &r);
        if (counted) fwrite(&r, sizeof r, 1, records);
    }
}

/* A server of ours asks a new port whether it wants the stream: the token, a mark and a code (docs/protocol.md). The port
 * sends that back. Datagrams of the stream do not begin with a letter or a digit. */
static int is_proof_request(const uint8_t *datagram, unsigned length)
{
    return length == PROOF && datagram[0] < 0x80 && datagram[TOKEN] == '!';
}

static void drain(struct state *s, uint32_t client)
{
    int got;
    do {
        for (int i = 0; i < BATCH; i++) {
            vectors[i].iov_len = s->sample ? FULL : HEAD;
            messages[i].msg_hdr.msg_controllen = sizeof control[i];
            messages[i].msg_hdr.msg_name = &sources[i];
            messages[i].msg_hdr.msg_namelen = sizeof sources[i];
        }
        got = recvmmsg(s->fd, messages, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
        for (int i = 0; i < got; i++) {
            if (is_proof_request(data[i], messages[i].msg_len))
                sendto(s->fd, data[i], PROOF, 0, (struct sockaddr *)&sources[i], messages[i].msg_hdr.msg_namelen);
            else
                count(s, data[i], messages[i].msg_len, arrival_ns(&messages[i].msg_hdr), client);
        }
    } while (got == BATCH);
}

static void fail(const char *what) { perror(what); exit(1); }

int main(int argc, char **argv)
{
    if (argc < 6) { fprintf(stderr, "usage: sink COUNTERS RECORDS SAMPLES DEADLINE_S SOCKET...\n"); return 2; }
    int number = argc - 5, samples = atoi(argv[3]);
    uint64_t deadline = now_ns() + atoll(argv[4]) * 1000000000ull;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigset_t none; /* The parent may have blocked signals; children inherit the mask. */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_IGN); /* Ctrl-C reaches the bench, which then ends the sink. */
    size_t length = sizeof *window + number * sizeof(struct counters);
    window = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
    if (window == MAP_FAILED) fail("sink: mapping the counters");
    if (!(records = fdopen(atoi(argv[2]), "wb"))) fail("sink: opening the records");
    struct counters *all = (struct counters *)(window + 1);
    struct state *states = calloc(number, sizeof *states);
    int poll = epoll_create1(0);
    for (int i = 0; i < number; i++) {
        states[i] = (struct state){atoi(argv[5 + i]), i < samples, -1, NULL, all + i};
        if (i < samples) memset(states[i].continuity = malloc(0x2000), 0xff, 0x2000);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, states[i].fd, &event)) fail("sink: watching a socket");
    }
    for (int i = 0; i < BATCH; i++) {
        vectors[i].iov_base = data[i];
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = control[i];
    }
    struct epoll_event events[256];
    /* A pause after each round makes rounds fewer and fuller, so that the sink takes less CPU time. */
    struct timespec rest = {0, REST_NS};
    while (!stopping && now_ns() < deadline) {
        int ready = epoll_wait(poll, events, 256, 100);
        if (ready < 0 && errno != EINTR) fail("sink: waiting");
        for (int i = 0; i < ready; i++) drain(&states[events[i].data.u32], events[i].data.u32);
        if (ready < 256) nanosleep(&rest, NULL);
    }
    return fclose(records) ? 1 : 0;
}
