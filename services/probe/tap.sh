#!/bin/sh
# Captures packets in other containers' network namespaces. One call serves many taps, because starting a process
# in a container from outside costs more than all that it does here.
#
#   tap start DIRECTORY SECONDS BYTES FILTER  NAME PID INTERFACE [NAME PID INTERFACE ...]
#   tap stop  DIRECTORY SECONDS               NAME [NAME ...]     the last one ends when the others have
#
# Each tap writes DIRECTORY/NAME.pcap; tcpdump's own words go to $STATE/NAME.log, which is another file system, so
# that it can still say that DIRECTORY is full. `start` returns when every tap listens, and leaves none behind when
# one of them does not. `stop` lets each read what it has seen, finish its file, and prints "NAME ok|died|behind
# PACKETS FREE" and the log after it: whether tcpdump ran until it was asked to end (and had read everything by then),
# how many packets its file holds, how many bytes DIRECTORY has left. The packets are counted from the file because
# tcpdump does not notice that it cannot write.
set -eu
STATE=/run/taps

fail() {
    echo "tap: $*" >&2
    exit 1
}

# Whether process $1 runs; a zombie has ended.
runs() {
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
    [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}

# Interrupts the taps named, without a word about those that are gone already.
interrupt() {
    for name; do
        pid=$(cat "$STATE/$name.pid" 2>/dev/null) || continue
        kill -INT "$pid" 2>/dev/null || :
    done
}

# Lets tap $1 write how far it has read to its log, a line such as
# "tcpdump: 12 packets captured, 15 packets received by filter, 0 packets dropped by kernel".
ask() {
    kill -USR1 "$(cat "$STATE/$1.pid" 2>/dev/null)" 2>/dev/null || :
}
ANSWER="^tcpdump: [0-9]* packets* captured, "

# Whether tap $1 had read all that the kernel held for it when it last answered.
has_read_all() {
    # shellcheck disable=SC2046 # three numbers
    set -- $(grep "$ANSWER" "$STATE/$1.log" | tail -n 1 | tr -cd "0-9 ")
    [ $# -eq 3 ] && [ "$1" -ge $(($2 - $3)) ]
}

start() {
    names=
    while [ $# -ge 3 ]; do
        name=$1 subject=$2 interface=$3
        shift 3
        rm -f "$directory/$name.pcap" "$STATE/$name.log" "$STATE/$name.pid"
        # -U and --immediate-mode: what was seen is in the file at once. -B: 16 MiB of kernel buffer, which
        # --immediate-mode divides into slots of the snapshot length whatever the packet's; at 2048 bytes 8192
        # packets ride out 4 s of a busy processor, at tcpdump's own 262144 only 256. -Z root: no other user could
        # write here.
        # shellcheck disable=SC2086 # the filter is several words
        nsenter --target "$subject" --net -- tcpdump -Z root -n -U --immediate-mode -B 16384 -s "$bytes" \
            -i "$interface" -w "$directory/$name.pcap" $filter \
            >/dev/null 2>"$STATE/$name.log" </dev/null &
        echo $! >"$STATE/$name.pid"
        names="$names $name"
    done
    tries=$((seconds * 20))
    for name in $names; do
        until grep -q "listening on" "$STATE/$name.log"; do
            tries=$((tries - 1))
            if [ "$tries" -le 0 ] || ! runs "$(cat "$STATE/$name.pid")"; then
                # shellcheck disable=SC2086 # names have no spaces
                interrupt $names
                fail "$name does not listen: $(tr '\n' ' ' <"$STATE/$name.log")"
            fi
            sleep 0.05
        done
    done
}

wait_for_end() {
    tries=$((seconds * 20))
    while runs "$(cat "$STATE/$1.pid" 2>/dev/null || echo 0)"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "$1 does not end"
        sleep 0.05
    done
}

stop() {
    for name; do
        if runs "$(cat "$STATE/$name.pid" 2>/dev/null || echo 0)"; then
            echo ok >"$STATE/$name.end"
        else
            echo died >"$STATE/$name.end"
        fi
    done
    # SIGINT ends tcpdump at once, and what it has not read by then would be missing in silence.
    for name; do
        ask "$name"
    done
    tries=$((seconds * 10))
    for name; do
        while [ "$(cat "$STATE/$name.end")" = ok ] && ! has_read_all "$name"; do
            tries=$((tries - 1))
            [ "$tries" -gt 0 ] || echo behind >"$STATE/$name.end"
            sleep 0.05
            ask "$name"
        done
    done
    others='' last=''
    for name; do
        others="$others $last" last=$name
    done
    for name in $others; do
        interrupt "$name"
    done
    for name in $others; do
        wait_for_end "$name"
    done
    interrupt "$last"
    wait_for_end "$last"
    free=$(df --output=avail --block-size=1 "$directory" | tail -n 1 | tr -d ' ')
    for name; do
        packets=$(tcpdump -Z root --count -r "$directory/$name.pcap" 2>/dev/null | sed -n 's/^\([0-9]*\) packet.*/\1/p')
        echo "=== flumelab $name $(cat "$STATE/$name.end") ${packets:--1} $free"
        grep -v "$ANSWER" "$STATE/$name.log" 2>/dev/null || :
        rm -f "$STATE/$name.pid" "$STATE/$name.end" "$STATE/$name.log"
    done
}

mkdir -p "$STATE"
usage="usage: tap start DIRECTORY SECONDS BYTES FILTER NAME PID INTERFACE... | tap stop DIRECTORY SECONDS NAME..."
[ $# -ge 3 ] || fail "$usage"
action=$1
shift
case $action in
start)
    [ $# -ge 7 ] || fail "$usage"
    directory=$1 seconds=$2 bytes=$3 filter=$4
    shift 4
    start "$@"
    ;;
stop)
    [ $# -ge 3 ] || fail "$usage"
    directory=$1 seconds=$2
    shift 2
    stop "$@"
    ;;
*) fail "$usage" ;;
esac
