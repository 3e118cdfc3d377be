#!/usr/bin/env bash
# Installs the Debian packages that one task needs. The only place that knows them:
# the Makefile and .ci/run both come here.
#
#   tests/setup/packages.sh build|test|endurance|bench|peers|lint|interop|chart
#
# Looks first and calls apt-get only for what is missing, so a second run costs nothing.
set -euo pipefail

missing=()

# need PACKAGE CHECK...: notes PACKAGE as missing when CHECK fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

has() { command -v "$1"; }
has_server() { compgen -G "/usr/lib/postgresql/*/bin/initdb" || has initdb; }
has_java() { java -version 2>&1 | grep -Eq 'version "(1[7-9]|[2-9][0-9])'; }
has_venv() { "$(system_python)" -c 'import ensurepip, venv'; }
has_clock_library() { compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1"; }
has_nginx() { test -x /usr/sbin/nginx || has nginx; }
has_font() { compgen -G "/usr/share/fonts/truetype/*"; }
system_python() { [ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3; }

build_packages() {
    need gcc has cc
    need libc6-dev test -e /usr/include/stdio.h
    need make has make
    need pkg-config has pkg-config
    need libssl-dev pkg-config --exists openssl
    need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
}

test_packages() {
    build_packages
    need postgresql has_server
    need redis-server has redis-server
}

endurance_packages() {
    test_packages
    need libfaketime has_clock_library
    need nginx has_nginx
}

peers_packages() {
    test_packages
    need nodejs has node
    need npm has npm
}

interop_packages() {
    test_packages
    need openjdk-17-jre-headless has_java
    need maven has mvn
    need nodejs has node
    need npm has npm
    need python3 has python3
    need python3-venv has_venv
    need chromium has chromium
    need fonts-dejavu-core has_font
}

# Helm itself is built from its Go module (helm/check.sh): Debian has none, and too old a Go.
chart_packages() {
    need nodejs has node
    need npm has npm
    need python3 has python3
    need python3-venv has_venv
    need prometheus has promtool
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null
}

# Debian starts a server when its package is installed. The tests start their own, so a
# temporary policy keeps the packaged PostgreSQL and Redis from taking ports 5432 and 6379.
install_without_starting() {
    local policy=/usr/sbin/policy-rc.d made_policy=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made_policy=1
    fi
    local status=0
    install_packages "$@" || status=$?
    if [ -n "$made_policy" ]; then as_root rm -f "$policy"; fi
    return "$status"
}

install_packages() {
    as_root apt-get update -q </dev/null || return
    case " $* " in *" postgresql "*)
        # Without this the package also creates a cluster that would start with the machine.
        apt_install postgresql-common || return
        as_root sed -i 's/^#\? *create_main_cluster *=.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf || return ;;
    esac
    apt_install "$@"
}

case "${1:-}" in
    build | lint) build_packages ;;
    test | bench) test_packages ;;
    endurance) endurance_packages ;;
    peers) peers_packages ;;
    interop) interop_packages ;;
    chart) chart_packages ;;
    *)
        echo "usage: $0 build|test|endurance|bench|peers|lint|interop|chart" >&2
        exit 2
        ;;
esac

[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "This is not a Debian system. Please install what these packages hold: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    echo "Please install as root: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "Installing: ${missing[*]}" >&2
install_without_starting "${missing[@]}"
