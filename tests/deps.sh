#!/bin/bash
# Installs the Debian packages that a purpose needs and this machine lacks.
#
#	tests/deps.sh PURPOSE...	e.g. tests/deps.sh build unit lab
#
# Silent when nothing is wrong, whether it had work to do or not. Never
# removes a package: where one is in the way, the purpose fails and says so.
set -u

packages()
{
	case $1 in
	build) # ./autogen.sh && ./configure && make
		echo autoconf automake gcc libc6-dev make pkgconf libssl-dev \
		    libev-dev libbsd-dev libcap-ng-dev libmnl-dev \
		    libjansson-dev libseccomp-dev ;;
	unit) # make check
		echo check ;;
	lab) # tests/net and tests/demo.sh: namespaces, a kernel, a terminal
		echo ethtool iproute2 iputils-ping python3 util-linux ;;
	net) # the tests of tests/net
		echo bsdutils conntrack iperf3 nftables python3-pytest \
		    python3-pytest-xdist ;;
	bench) # make bench and its pictures, beside build, unit, lab and net
		echo mptcpize python3-matplotlib ;;
	clang) # a second compiler, and libFuzzer
		echo clang libclang-rt-dev ;;
	i386) # tests/cross.sh i386
		echo binutils-i686-linux-gnu clang qemu-user ;;
	s390x) # tests/cross.sh s390x
		echo binutils-s390x-linux-gnu clang qemu-user ;;
	lint) # tests/lint.sh
		echo clang-format mandoc python3-pyflakes shellcheck ;;
	deb) # dpkg-buildpackage; the rest are debian/control's Build-Depends
		echo build-essential debhelper dpkg-dev ;;
	*)
		echo "deps.sh: no such purpose: $1" >&2
		return 1 ;;
	esac
}

# Those of the given packages that are not installed.
missing()
{
	comm -23 <(printf '%s\n' "$@" | sort -u) \
	    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" \
	    2>/dev/null | sed -n 's/^installed //p' | sort -u)
}

# apt-get, quiet, patient with another apt-get, and never asking anything.
apt()
{
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-remove \
	    --no-install-recommends -o DPkg::Lock::Timeout=600 \
	    -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"
}

[ $# -gt 0 ] || { echo "usage: deps.sh PURPOSE..." >&2; exit 2; }

list=
for purpose; do
	list+=" $(packages "$purpose")" || exit 2
done
# shellcheck disable=SC2086
mapfile -t missing < <(missing $list)
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "please install, as root: ${missing[*]}" >&2
	exit 1
fi

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# The lists may be absent or stale: fetch them only when the first try fails.
if ! apt install "${missing[@]}" </dev/null >"$log" 2>&1; then
	apt update </dev/null >"$log" 2>&1
	if ! apt install "${missing[@]}" </dev/null >>"$log" 2>&1; then
		echo "could not install: ${missing[*]}" >&2
		tail -n 20 "$log" >&2
		exit 1
	fi
fi
