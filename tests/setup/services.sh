#!/usr/bin/env bash
# Runs a command beside a throw-away PostgreSQL and a throw-away Redis:
#
#   tests/setup/services.sh cargo test
#
# Both listen on a free loopback port, ask for a password made for this run, and keep their
# files in one temporary folder. The command finds them in TEST_DATABASE_URL and
# TEST_REDIS_URL; when it ends, however it ends, both are stopped and the folder is removed.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: $0 COMMAND [ARGUMENT...]" >&2; exit 2; }

root=$(mktemp -d "${TMPDIR:-/tmp}/keywright-services.XXXXXX")
postgres_pid=
redis_pid=

stop() {
    local pid
    # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
    [ -z "$postgres_pid" ] || kill -INT "$postgres_pid" 2>/dev/null || true
    [ -z "$redis_pid" ] || kill -TERM "$redis_pid" 2>/dev/null || true
    for pid in $postgres_pid $redis_pid; do
        for _ in $(seq 100); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.05
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$root"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() {
    echo "services.sh: $1" >&2
    [ ! -f "${2:-}" ] || tail -n 30 "$2" >&2
    exit 1
}

# Only a look, not a reservation: each start below tries another port when this one was taken.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# PostgreSQL refuses to run as root, so root hands both servers to an unprivileged user.
drop=()
if [ "$(id -u)" = 0 ]; then
    user=nobody
    if id postgres >/dev/null 2>&1; then user=postgres; fi
    drop=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups --)
    chown "$user" "$root"
fi

binary_folder() {
    local newest
    newest=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || true
    [ -n "$newest" ] || newest=$(command -v initdb) || die "PostgreSQL is not installed"
    dirname "$newest"
}

# accepts PORT PID: waits until something listens there; fails when the process has ended.
accepts() {
    for _ in $(seq 300); do
        kill -0 "$2" 2>/dev/null || return 1
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    return 1
}

start_postgres() {
    local bin port log=$root/postgres.log
    bin=$(binary_folder)
    (cd "$root" && umask 077 && printf '%s\n' "$password" | "${drop[@]}" tee "$root/password" \
        >/dev/null && "${drop[@]}" "$bin/initdb" --pgdata="$root/postgres" --username=keywright \
        --pwfile="$root/password" --auth=md5 --encoding=UTF8 --locale=C.UTF-8 --no-sync \
        >"$log" 2>&1) || die "initdb failed" "$log"
    for _ in 1 2 3; do
        port=$(free_port)
        # Nothing here outlives the run, so durability is switched off for speed.
        (cd "$root" && exec "${drop[@]}" "$bin/postgres" -D "$root/postgres" -h 127.0.0.1 -p "$port" \
            -c unix_socket_directories= -c max_connections=300 \
            -c fsync=off -c synchronous_commit=off -c full_page_writes=off) \
            >>"$log" 2>&1 </dev/null &
        postgres_pid=$!
        if accepts "$port" "$postgres_pid" && answers "$bin" "$port"; then
            export TEST_DATABASE_URL="postgres://keywright:$password@127.0.0.1:$port/postgres"
            return
        fi
        kill -INT "$postgres_pid" 2>/dev/null || true
        wait "$postgres_pid" 2>/dev/null || true
    done
    die "PostgreSQL did not start" "$log"
}

answers() {
    for _ in $(seq 100); do
        "$1/pg_isready" -q -h 127.0.0.1 -p "$2" && return
        sleep 0.1
    done
    return 1
}

start_redis() {
    local port log=$root/redis.log
    command -v redis-server >/dev/null || die "Redis is not installed"
    for _ in 1 2 3; do
        port=$(free_port)
        # The settings travel on standard input, so the password is on no command line.
        (cd "$root" && exec "${drop[@]}" redis-server -) >>"$log" 2>&1 <<SETTINGS &
bind 127.0.0.1
port $port
dir $root
save ""
appendonly no
requirepass $password
SETTINGS
        redis_pid=$!
        if accepts "$port" "$redis_pid"; then
            export TEST_REDIS_URL="redis://default:$password@127.0.0.1:$port/0"
            return
        fi
        wait "$redis_pid" 2>/dev/null || true
    done
    die "Redis did not start" "$log"
}

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
start_postgres
start_redis
"$@"
