#!/usr/bin/env bash
#
# Starts .ci/run on a machine that has no more than CONTRIBUTING.md names: what a step runs and .ci/tools.sh does not
# install is missing there, however many programs this machine has.
#
#   .ci/new_machine.sh           every step; hours
#   .ci/new_machine.sh STEP...   only these, for instance `tools scripts`
#
# The machine is a root made by debootstrap (`.ci/tools.sh needed` says of which packages), with the rustup and the Go of
# this machine, read-only, and a clone of the last commit. It reaches package registries as this machine does: with the
# configuration of its package clients and their environment, and nothing else of it. Needs root and debootstrap.
#
# Its output begins with `| `, so that nobody counts its checks as their own. Nothing is left behind.
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

die() { printf '%s\n' "new_machine.sh: $*" >&2; exit 1; }

# inherited: the variables of this machine by which package clients find their registries, as NAME=VALUE.
inherited() {
    env -0 | grep -zE '^((https?|HTTPS?|all|ALL|no|NO)_(proxy|PROXY)|SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|GIT_SSL_CAINFO)=' || true
    env -0 | grep -zE '^(REQUESTS_CA_BUNDLE|PIP_[A-Z_]+|CARGO_(REGISTR|HTTP|NET|SOURCE)[A-Z_]*|RUSTUP_(DIST|UPDATE)[A-Z_]*)=' || true
    env -0 | grep -zE '^GO(PROXY|NOPROXY|SUMDB|NOSUMDB|PRIVATE|FLAGS|TOOLCHAIN)=' || true
}

# configure ROOT: the configuration of the package clients, and what they trust.
configure() {
    local root=$1 path there
    rm -rf "$root"/etc/apt/sources.list*
    for path in /etc/apt/{sources.list,sources.list.d,apt.conf.d,preferences.d,keyrings,trusted.gpg.d} /etc/{resolv.conf,hosts,pip.conf} \
        /etc/ssl/certs /usr/local/share/ca-certificates "$HOME"/{.cargo/config.toml,.config/go/env,.config/pip/pip.conf}; do
        [ -e "$path" ] || continue
        there=$root${path/#$HOME\//\/root/}
        # Links in there lead to files of this machine, for they begin at `/`.
        rm -rf "$there"
        mkdir -p "$(dirname -- "$there")"
        cp -aLT "$path" "$there"
    done
}

# enter ROOT STEP...: in namespaces of its own, so that mounts and processes end with it.
enter() {
    local root=$1
    shift
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --pid --fork --kill-child bash -euc '
        root=$1 cargo=$2 rustup=$3 go=$4
        shift 4
        mount --make-rprivate / || true
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        for pair in "$cargo:opt/cargo" "$rustup:opt/rustup" "$go:opt/go"; do
            mkdir -p "$root/${pair#*:}"
            mount --bind "${pair%%:*}" "$root/${pair#*:}"
            mount -o remount,bind,ro "$root/${pair#*:}" || true
        done
        exec chroot "$root" /usr/bin/env -i "$@"
    ' - "$root" "$(dirname -- "$(command -v rustup)")" "$(rustup show home)" "$(go env GOROOT)" "${environment[@]}" \
        bash -c 'cd /project && exec bash .ci/run "$@"' - "$@"
}

main() {
    local root mirror packages status=0
    [ "$(id -u)" = 0 ] || die "this needs root"
    command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
    # shellcheck disable=SC2016 # apt's own placeholder
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sort -u | head -n 1)
    [ -n "$mirror" ] || die "no Debian mirror among the apt sources of this machine"
    packages=$("$project/.ci/tools.sh" needed | paste -sd ,)
    root=$(mktemp -d /var/tmp/new-machine.XXXXXX)
    # shellcheck disable=SC2064 # the value of now
    trap "rm -rf --one-file-system '$root'" EXIT
    echo "== a root of $packages"
    # shellcheck disable=SC1091 # names the release of this machine
    debootstrap --variant=minbase --include="$packages" "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" "$mirror" \
        >"$root.log" 2>&1 || status=$?
    [ "$status" = 0 ] || tail -n 20 "$root.log"
    rm -f "$root.log"
    [ "$status" = 0 ] || die "debootstrap failed"
    configure "$root"
    git clone --quiet --no-hardlinks "$project" "$root/project"
    mapfile -d '' -t environment < <(inherited)
    environment+=(HOME=/root LANG=C.UTF-8 CARGO_HOME=/root/.cargo RUSTUP_HOME=/opt/rustup
        PATH=/opt/cargo:/opt/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
    { enter "$root" "$@" 2>&1 || echo "FAILED with exit $?"; } | sed -u 's/^/| /' | tee "$root/log"
    [ -s "$root/log" ] && ! tail -n 1 "$root/log" | grep -q FAILED
}

main "$@"
