#!/bin/bash
# Builds mlvpn for another machine and runs its unit tests there: natively
# where this kernel can, under qemu-user where it cannot.
#
#	tests/cross.sh ARCH BUILD_DIR [CONFIGURE_FLAG...]
#	ARCH is i386 (32 bit) or s390x (big endian)
#
# The libraries come from Debian by apt, but with an apt state of their own
# and unpacked into a directory of their own: the packages of this host are
# not touched, no foreign architecture is added, and development packages
# that cannot be installed side by side do not meet. That sysroot is kept
# under /var/cache (or $XDG_CACHE_HOME) for the next run.
#
# The compiler is clang, because gcc's cross compilers and gcc-multilib cannot
# be installed on one machine. Needs ./configure (run ./autogen.sh) and
# tests/deps.sh build ARCH.
# On success BUILD_DIR/src/mlvpn is a daemon of that architecture.
set -u

want="libc6-dev libssl-dev libev-dev libbsd-dev libcap-ng-dev libmnl-dev
    libjansson-dev libseccomp-dev check"

die() { echo "cross.sh: $*" >&2; exit 1; }

[ $# -ge 2 ] || { echo "usage: cross.sh ARCH BUILD_DIR [FLAG...]" >&2; exit 2; }
arch=$1 build=$2
shift 2
case $arch in
i386)	host=i686-linux-gnu multiarch=i386-linux-gnu loader=ld-linux.so.2 ;;
s390x)	host=s390x-linux-gnu multiarch=$host loader=ld64.so.1 ;;
*)	die "$arch: i386 or s390x" ;;
esac
source=$(cd "$(dirname "$0")/.." && pwd) || exit 1
[ -x "$source/configure" ] || die "no configure: run ./autogen.sh first"

# The name holds what the sysroot is made of, so a complete one is never
# changed and may be in use by any number of runs.
make_sysroot()
{
	local cache tag
	if [ "$(id -u)" -eq 0 ]; then
		cache=${XDG_CACHE_HOME:-/var/cache}/mlvpn-sysroot
	else
		cache=${XDG_CACHE_HOME:-$HOME/.cache}/mlvpn-sysroot
	fi
	tag=$({ cat /etc/debian_version; echo "$want"; } | sha256sum)
	sysroot=$cache/$arch-${tag:0:12}
	mkdir -p "$cache" || exit 1
	exec 9>"$cache/$arch.lock"
	flock 9
	if [ ! -d "$sysroot" ]; then
		new=$(mktemp -d "$cache/$arch-new-XXXXXX") || exit 1
		trap 'rm -rf "$new"' EXIT
		trap 'exit 1' INT TERM HUP
		download "$new" || die "no $arch packages to be had"
		unpack "$new" || die "cannot unpack the $arch packages"
		mv "$new/root" "$sysroot" || exit 1
		rm -rf "$new"
	fi
	exec 9>&-
}

# What `want` needs, down to libc, as if installed on an empty machine. An
# update may fail in part (a mirror without this architecture beside one with
# it): what counts is whether the packages can be had.
download()
{
	local log=$1/log libgcc
	mkdir -p "$1/lists/partial" "$1/cache/archives/partial" "$1/root"
	: >"$1/status"
	cat >"$1/apt.conf" <<-END
	#clear APT::Architectures;
	APT::Architecture "$arch";
	APT::Architectures { "$arch"; };
	APT::Install-Recommends "false";
	APT::Sandbox::User "";
	Acquire::Languages "none";
	Acquire::Retries "3";
	Acquire::http::Timeout "30";
	Acquire::https::Timeout "30";
	Dir::Cache "$1/cache";
	Dir::State::lists "$1/lists";
	Dir::State::status "$1/status";
	Debug::NoLocking "true";
	END
	export APT_CONFIG=$1/apt.conf
	apt-get -qq update >"$log" 2>&1 </dev/null
	libgcc=$(apt-cache pkgnames libgcc- | grep -E '^libgcc-[0-9]+-dev$' |
	    sort -V | tail -n 1)
	# shellcheck disable=SC2086
	apt-get -qq -y --download-only install $want $libgcc \
	    >>"$log" 2>&1 </dev/null && unset APT_CONFIG && return
	tail -n 20 "$log" >&2
	return 1
}

# Packages hold symbolic links from the root; here they must stay inside.
unpack()
{
	local deb link target
	for deb in "$1"/cache/archives/*.deb; do
		dpkg-deb -x "$deb" "$1/root" || return
	done
	find "$1/root" -type l -lname '/*' | while read -r link; do
		target=$(realpath -m --relative-to="$(dirname "$link")" \
		    "$1/root$(readlink "$link")") &&
		    ln -sfn "$target" "$link" || return
	done
}

make_sysroot

ldflags=
run=
lib=$sysroot/lib/$loader
if "$lib" --version >/dev/null 2>&1; then
	# The kernel runs this code: bind the programs to their libraries, so
	# that they start like any other, also as a daemon in the lab. RPATH
	# and not RUNPATH, because it holds for libraries of libraries too.
	ldflags="-Wl,--dynamic-linker=$lib,--disable-new-dtags"
	ldflags+=",-rpath,$sysroot/usr/lib/$multiarch:$sysroot/lib/$multiarch"
else
	# qemu-user runs no system call filter.
	set -- --without-seccomp "$@"
	run="qemu-$arch -L $sysroot"
	export UNIT_EMULATED=1
	command -v "${run%% *}" >/dev/null || die "no ${run%% *}: tests/deps.sh"
fi

mkdir -p "$build" && cd "$build" || exit 1
export PKG_CONFIG_SYSROOT_DIR=$sysroot
export PKG_CONFIG_LIBDIR=$sysroot/usr/lib/$multiarch/pkgconfig
"$source/configure" -q --host="$host" \
    CC="clang --target=$host --sysroot=$sysroot" \
    PKG_CONFIG=pkg-config LDFLAGS="$ldflags" "$@" || die "configure failed"
units="tests/unit/unit tests/unit/unit_worker"
# In two steps: "all" is a make of its own, and both build src/options.o.
for targets in all "$units"; do
	# shellcheck disable=SC2086
	make -s -j"$(nproc)" $targets || die "the $arch build failed"
done
status=0
ulimit -c 0
for unit in $units; do
	srcdir=$source $run "$unit" || status=1
done
exit $status
