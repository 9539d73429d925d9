#!/bin/bash
# Shows mlvpn at work: two routers, three lines, one transfer, one line cut.
#
#	tests/demo.sh
#
# As root, on Linux. Builds mlvpn in a temporary directory (or takes the build
# in MLVPN_BUILD), installs the packages it lacks, and leaves nothing behind:
# routers and lines are network namespaces, which end with it. It takes 40
# seconds and the build.
set -u

source=$(cd "$(dirname "$0")/.." && pwd) || exit 1
work=
lab=

cleanup()
{
	[ -z "$lab" ] || kill -- "-$lab" 2>/dev/null
	[ -z "$work" ] || rm -rf "$work"
}

# Prints the end of a log when a step fails.
step() # TEXT COMMAND...
{
	local text=$1
	shift
	printf '%s ... ' "$text"
	if "$@" >"$work/log" 2>&1; then
		echo "done"
	else
		echo failed
		tail -n 25 "$work/log"
		exit 1
	fi
}

build()
{
	mkdir "$work/src" "$work/build" &&
	    tar -c -C "$source" --exclude=.git . | tar -x -C "$work/src" &&
	    cd "$work/src" && { [ ! -f Makefile ] || make -s distclean; } &&
	    ./autogen.sh && cd "$work/build" && "$work/src/configure" -q &&
	    make -s -j"$(nproc)" src/mlvpn src/mlvpnctl tests/net/lineemu \
		tests/net/udpprobe
}

[ "$(id -u)" -eq 0 ] || { echo "demo.sh: needs root" >&2; exit 1; }
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
work=$(mktemp -d "${TMPDIR:-/tmp}/mlvpn-demo-XXXXXX") || exit 1
chmod 755 "$work"
if [ -z "${MLVPN_BUILD:-}" ]; then
	step "packages" "$source/tests/deps.sh" build lab
	step "mlvpn is built" build
	MLVPN_BUILD=$work/build
else
	step "packages" "$source/tests/deps.sh" lab
fi
export MLVPN_BUILD
# In a process group of its own, which an interrupt ends as a whole at once.
set -m
"$source/tests/net/lab" /usr/bin/python3 "$source/tests/demo.py" &
lab=$!
wait "$lab"
