#!/bin/sh
# A throwaway PostgreSQL server for the tests, on 127.0.0.1 at a free port, with a random password.
#
#   tests/postgres.sh start FOLDER [PID]   make FOLDER, start a server in it and print its URL;
#                                          with PID, the server also stops when that process ends
#   tests/postgres.sh stop FOLDER          stop the server and remove FOLDER
#
# PostgreSQL is taken from PATH or from Debian's place for it, and installed from Debian's packages if it is in neither
# (which needs root). PostgreSQL refuses to run as root: there the server runs as `postgres`, or else as `nobody`.
set -eu

say() { echo "tests/postgres.sh: $*" >&2; }

usage() {
    say "usage: $0 start FOLDER [PID] | stop FOLDER"
    exit 2
}

find_programs() {
    for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V -r); do
        if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] && [ -x "$folder/postgres" ]; then
            echo "$folder"
            return
        fi
    done
    if command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then
        dirname "$(command -v initdb)"
    fi
}

install_programs() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "PostgreSQL is not installed, and only root on Debian or Ubuntu can install it here."
        exit 1
    fi
    say "installing PostgreSQL from Debian's packages"
    {
        apt-get update -q
        if [ ! -e /etc/postgresql-common/createcluster.conf ]; then # no server of the system's own
            mkdir -p /etc/postgresql-common
            echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
        fi
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
            -o Dpkg::Options::=--force-confold postgresql
    } >&2
}

server_user() {
    if [ "$(id -u)" != 0 ]; then
        id -un
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

as_server() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups env HOME=/tmp LC_ALL=C.UTF-8 "$@")
    else
        env LC_ALL=C.UTF-8 "$@"
    fi
}

random_number() { od -An -N4 -tu4 /dev/urandom | tr -d ' '; }

start_server() {
    for attempt in 1 2 3 4 5 6 7 8; do # a port that is taken makes the start fail: try another
        port=$((20000 + $(random_number) % 12000))
        if as_server "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 -s \
            -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=50" \
            start >/dev/null 2>&1; then
            return
        fi
        say "attempt $attempt at port $port failed: $(tail -n 3 "$folder/log" 2>/dev/null | tr '\n' ' ')"
    done
    say "the server does not start."
    exit 1
}

watch_owner() { # in the background, with no file of ours open
    (
        while kill -0 "$1" 2>/dev/null; do
            sleep 2
        done
        "$0" stop "$folder"
    ) </dev/null >/dev/null 2>&1 &
}

start() {
    bin=$(find_programs)
    if [ -z "$bin" ]; then
        install_programs
        bin=$(find_programs)
    fi
    user=$(server_user)
    mkdir -m 0700 "$folder"
    folder=$(cd "$folder" && pwd)
    chown "$user" "$folder"
    echo "$bin" >"$folder/bin"
    password="p@ss:/$(random_number)$(random_number)" # with what must be escaped in a URL
    printf '%s\n' "$password" >"$folder/password"
    chown "$user" "$folder/password"
    as_server "$bin/initdb" -D "$folder/data" -U tune -E UTF8 --locale=C --auth=scram-sha-256 \
        --pwfile="$folder/password" --no-sync >"$folder/initdb.log" 2>&1 || {
        cat "$folder/initdb.log" >&2
        exit 1
    }
    start_server
    if [ -n "${1:-}" ]; then
        watch_owner "$1"
    fi
    escaped=$(printf '%s' "$password" | sed 's/@/%40/; s/:/%3A/; s,/,%2F,')
    echo "postgresql://tune:$escaped@127.0.0.1:$port/postgres"
}

stop() {
    user=$(server_user)
    if [ -e "$folder/bin" ]; then
        as_server "$(cat "$folder/bin")/pg_ctl" -D "$folder/data" -m immediate -w -s stop >/dev/null 2>&1 ||
            say "the server was not running"
        rm -rf "$folder"
    fi
}

[ $# -ge 2 ] || usage
folder=$2
case $1 in
    start) start "${3:-}" ;;
    stop) stop ;;
    *) usage ;;
esac
