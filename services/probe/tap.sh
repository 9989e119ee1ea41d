#!/bin/sh
# Captures packets in the network namespaces of other containers. One call serves many taps, because starting a process
# in a container from outside costs more than all work that it does here.
#
#   tap start DIRECTORY SECONDS BYTES FILTER  NAME PID INTERFACE KIBIBYTES [NAME PID INTERFACE KIBIBYTES ...]
#   tap stop  DIRECTORY SECONDS               NAME [NAME ...]     the last tap ends after all earlier ones
#
# Each tap writes DIRECTORY/NAME.pcap. The output of tcpdump goes to $STATE/NAME.log on another file system: there it can
# still report that DIRECTORY is full.
#
# `start` returns when every tap listens. When one tap does not listen, it ends all of them. Before the first one it saves
# the kernel's counts of its queues (/proc/net/softnet_stat) in $STATE/softnet_stat, and the time in $STATE/clocks.
# `stop` lets each tap read all packets that it has seen and finish its file. Then it prints
# "=== flumelab NAME ok|died|behind PACKETS FREE WALL BOOT WALL BOOT" and the log:
#   ok, died, behind   tcpdump ran until it was told to end; ended before; had not read everything by then
#   PACKETS            packets in the file, counted there, because tcpdump does not notice that it cannot write
#   FREE               free bytes in DIRECTORY
#   WALL, BOOT         milliseconds of the clock that stamps packets, and of one that is never set: at `start`, and now
set -eu
STATE=/run/taps

fail() {
    echo "tap: $*" >&2
    exit 1
}

# Whether process $1 runs; a zombie does not.
runs() {
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
    [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}

# Sends SIGINT to the named taps; a tap that is gone is no error.
interrupt() {
    for name; do
        pid=$(cat "$STATE/$name.pid" 2>/dev/null) || continue
        kill -INT "$pid" 2>/dev/null || :
    done
}

# Makes tap $1 write to its log how far it has read, a line such as
# "tcpdump: 12 packets captured, 15 packets received by filter, 0 packets dropped by kernel".
ask() {
    kill -USR1 "$(cat "$STATE/$1.pid" 2>/dev/null)" 2>/dev/null || :
}
ANSWER="^tcpdump: [0-9]* packets* captured, "

# Whether tap $1 had read all packets that the kernel held for it at its last answer.
has_read_all() {
    # shellcheck disable=SC2046 # three numbers
    set -- $(grep "$ANSWER" "$STATE/$1.log" | tail -n 1 | tr -cd "0-9 ")
    [ $# -eq 3 ] && [ "$1" -ge $(($2 - $3)) ]
}

# Prints the milliseconds of the wall clock and of /proc/uptime, read within 50 ms.
clocks() {
    tries=20
    while :; do
        read -r before _ </proc/uptime
        wall=$(date +%s%3N)
        read -r after _ </proc/uptime
        before=${before%.*}${before#*.} after=${after%.*}${after#*.} tries=$((tries - 1))
        [ $((after - before)) -gt 5 ] && [ "$tries" -gt 0 ] || break
    done
    echo "$wall ${after}0"
}

start() {
    clocks >"$STATE/clocks"
    cat /proc/net/softnet_stat >"$STATE/softnet_stat"
    names=
    while [ $# -ge 4 ]; do
        name=$1 subject=$2 interface=$3 kibibytes=$4
        shift 4
        rm -f "$directory/$name.pcap" "$STATE/$name.log" "$STATE/$name.pid"
        # -U and --immediate-mode: a packet is in the file at once. -B: the kernel's buffer. --immediate-mode divides it
        # into slots of the snapshot length, whatever the length of a packet. -Z root: no other user may write to
        # DIRECTORY.
        # shellcheck disable=SC2086 # the filter is several words
        nsenter --target "$subject" --net -- tcpdump -Z root -n -U --immediate-mode -B "$kibibytes" -s "$bytes" \
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
    # SIGINT ends tcpdump at once. Packets that it has not read by then would be missing without a trace.
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
    earlier='' last=''
    for name; do
        earlier="$earlier $last" last=$name
    done
    for name in $earlier; do
        interrupt "$name"
    done
    for name in $earlier; do
        wait_for_end "$name"
    done
    interrupt "$last"
    wait_for_end "$last"
    clocks="$(cat "$STATE/clocks") $(clocks)"
    free=$(df --output=avail --block-size=1 "$directory" | tail -n 1 | tr -d ' ')
    for name; do
        packets=$(tcpdump -Z root --count -r "$directory/$name.pcap" 2>/dev/null | sed -n 's/^\([0-9]*\) packet.*/\1/p')
        echo "=== flumelab $name $(cat "$STATE/$name.end") ${packets:--1} $free $clocks"
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
