/* The limit that C reaches: one socket, UDP_SEGMENT set once, one sendmmsg a tick whose headers share one buffer.
 *
 * usage: limit FILE DESTINATIONS BYTES_PER_S TICK_MS
 *
 * Sends FILE (MPEG-TS) in a loop as RTP, numbered once for all, at BYTES_PER_S to each "address port" line of
 * DESTINATIONS. It negotiates nothing, and no client can join or leave. So it does less than every other sender and is
 * the yardstick for the cost of a send. Ends with its parent and at SIGTERM. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { TS = 1316, RTP = 12, SIZE = TS + RTP, MOST = 48, CLIENTS = 4096, SEND_BUFFER = 64 << 20 };
#define SOL_UDP_ 17
#define UDP_SEGMENT_ 103

static struct sockaddr_in addresses[CLIENTS];
static struct mmsghdr messages[CLIENTS];
static uint8_t buffer[MOST][SIZE];
static struct iovec shared = {buffer, 0};

static void fail(const char *what) { perror(what); exit(1); }

static uint8_t *read_all(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(path);
    *length = ftell(file) / TS * TS;
    rewind(file);
    uint8_t *bytes = malloc(*length);
    if (!*length || fread(bytes, 1, *length, file) != *length) fail(path);
    fclose(file);
    return bytes;
}

static int read_destinations(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    char text[64];
    unsigned port;
    int number = 0;
    while (number < CLIENTS && fscanf(file, "%63s %u", text, &port) == 2) {
        addresses[number].sin_family = AF_INET;
        addresses[number].sin_port = htons(port);
        if (inet_pton(AF_INET, text, &addresses[number].sin_addr) != 1) fail(text);
        messages[number].msg_hdr.msg_name = &addresses[number];
        messages[number].msg_hdr.msg_namelen = sizeof addresses[number];
        messages[number].msg_hdr.msg_iov = &shared;
        messages[number].msg_hdr.msg_iovlen = 1;
        number++;
    }
    fclose(file);
    return number;
}

static void write_header(uint8_t *header, uint16_t sequence, uint32_t timestamp)
{
    uint16_t number = htons(sequence);
    uint32_t time = htonl(timestamp), source = htonl(0x6c696d69);
    header[0] = 0x80;
    header[1] = 33;
    memcpy(header + 2, &number, 2);
    memcpy(header + 4, &time, 4);
    memcpy(header + 8, &source, 4);
}

int main(int argc, char **argv)
{
    if (argc != 5) { fprintf(stderr, "usage: limit FILE DESTINATIONS BYTES_PER_S TICK_MS\n"); return 2; }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    size_t length, at = 0;
    uint8_t *clip = read_all(argv[1], &length);
    int clients = read_destinations(argv[2]), gso = SIZE, large = SEND_BUFFER;
    double rate = atof(argv[3]) / TS, tick_s = atof(argv[4]) / 1000, owed = 0;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof large)) fail("limit: send buffer");
    if (setsockopt(fd, SOL_UDP_, UDP_SEGMENT_, &gso, sizeof gso)) fail("limit: UDP_SEGMENT");
    uint16_t sequence = 0;
    uint64_t sent = 0;
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (;;) {
        for (owed += rate * tick_s; owed >= 1;) {
            int count = owed > MOST ? MOST : (int)owed;
            owed -= count;
            for (int i = 0; i < count; i++, at = (at + TS) % length, sent++) {
                write_header(buffer[i], sequence++, (uint32_t)(sent / rate * 90000));
                memcpy(buffer[i] + RTP, clip + at, TS);
            }
            shared.iov_len = (size_t)count * SIZE;
            for (int done = 0; done < clients;) {
                int got = sendmmsg(fd, messages + done, clients - done, 0);
                done += got > 0 ? got : 1; /* skip a client that the kernel refuses, serve the rest */
            }
        }
        due.tv_nsec += (long)(tick_s * 1e9);
        for (; due.tv_nsec >= 1000000000; due.tv_nsec -= 1000000000) due.tv_sec++;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
}
