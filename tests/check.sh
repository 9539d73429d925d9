#!/bin/bash
# Every check of the project, on a Debian machine with nothing installed.
#
#	tests/check.sh			all stages, about ten minutes
#	tests/check.sh STAGE...		only these, in this order
#	tests/check.sh -h		what the stages are
#
# As root it installs what is missing; otherwise it names it. One line a stage
# and a line of totals; the log of a stage that fails is shown in part and
# kept. Everything else happens in a temporary directory that goes away, so
# the tree is not touched and several runs do not meet.
set -u

# name, may it run beside others, what it needs from deps.sh, what it does; the
# longest are begun first
stages=(
"gcc	beside	build,unit		gcc builds everything without a warning"
"asan	beside	build,unit		unit tests and sim under ASan and UBSan"
"s390x	beside	build,unit,s390x	big endian: daemon and unit tests"
"i386	beside	build,unit,i386		32 bit: daemon and unit tests"
"unit	beside	build,unit		unit tests"
"sim	beside	build,unit		two tunnels in virtual time"
"asan-net	beside	build,unit,lab,net	the daemon in network namespaces, sanitized"
"net	beside	build,unit,lab,net	the daemon in network namespaces"
"lint	beside	lint			layout, scripts, manual pages, layers"
"clang	beside	build,unit,clang	clang builds everything without a warning"
"fuzz	beside	build,unit,clang	fuzz targets over their corpora and beyond"
"distcheck	beside	build,unit	the release archive builds and tests itself"
"deb	beside	build,deb		the Debian package builds"
"measure	alone	build,unit,lab,net	the same, where it is rates and times that count"
)

source=$(cd "$(dirname "$0")/.." && pwd) || exit 1
work=
jobs_max=$(nproc)
stages_max=$((jobs_max + 1)) # as some of them wait for most of the time

# ---- stages: run in a subshell with the log as output; 0, 1 or 77 (skip)

# Configures and makes one variant, once, whichever stage asks first; that one
# shows what went wrong.
build() # VARIANT CONFIGURE_ARGUMENT...
{
	local variant=$1 dir=$work/$1
	shift
	(
		flock 9
		if [ -f "$dir.status" ]; then
			[ "$(<"$dir.status")" -eq 0 ] && exit
			echo "the $variant build failed, as another stage shows"
			exit 1
		fi
		mkdir -p "$dir" && cd "$dir" &&
		    "$work/src/configure" -q "$@" &&
		    make -s -j"$jobs_max" &&
		    make -s -j"$jobs_max" check TESTS=
		echo $? >"$dir.status"
		exit "$(<"$dir.status")"
	) 9>"$dir.lock"
}

one() { echo "1 passed, 0 failed, 0 skipped"; }

build_gcc() { build gcc --enable-werror; }
build_asan() { build asan --enable-sanitizers; }

# Test programs of a build; they find their data by srcdir, as in make check.
programs() # VARIANT PROGRAM...
{
	local program status=0
	cd "$work/$1" || return
	shift
	for program; do
		srcdir=$work/src "./$program" || status=1
	done
	return $status
}

units=(tests/unit/unit tests/unit/unit_worker)

stage_gcc() { build_gcc && one; }
stage_unit() { build_gcc && programs gcc "${units[@]}"; }
stage_sim() { build_gcc && programs gcc tests/sim/sim; }
stage_clang() { build clang CC=clang --enable-werror && one; }
stage_lint() { "$work/src/tests/lint.sh"; }
stage_i386() { cross i386; }
stage_s390x() { cross s390x; }

cross() # ARCH
{
	CK_TIMEOUT_MULTIPLIER=10 "$work/src/tests/cross.sh" "$1" "$work/$1" \
	    --enable-werror
}

stage_asan()
{
	local status=0
	# A twentieth of the random worlds: sanitized ones are slow, and so is
	# a sanitized process that forks, with all its memory's shadow.
	export CK_TIMEOUT_MULTIPLIER=10 SIM_WORLDS=5
	build_asan || return
	programs asan "${units[@]}" || status=1
	CK_FORK=no programs asan tests/sim/sim || status=1
	return $status
}

# The corpora, and from there a short way into the unknown, the same one each
# time.
stage_fuzz()
{
	local targets target name passed=0
	build fuzz CC=clang --enable-sanitizers --enable-fuzzing || return
	cd "$work/fuzz" && make -s check-fuzz || return
	mapfile -t targets < <(find tests/fuzz -name 'fuzz_*' -type f -perm -100)
	for target in "${targets[@]}"; do
		name=${target##*/fuzz_}
		cp -R "$work/src/tests/fuzz/corpus/$name" "corpus-$name" &&
		    "$target" -seed=1 -runs=20000 -max_total_time=20 \
		    -artifact_prefix="$work/log/" "corpus-$name" || return
		passed=$((passed + 1))
	done
	echo "$passed passed, 0 failed, 0 skipped"
}

# The archive is what is tested here; the worlds are the sim stage's.
stage_distcheck()
{
	export SIM_WORLDS=5
	build_gcc && cd "$work/gcc" &&
	    make -s -j"$jobs_max" distcheck DISTCHECK_CONFIGURE_FLAGS=--enable-werror && one
}

stage_deb()
{
	local file
	mkdir -p "$work/deb" && cp -R "$work/pristine" "$work/deb/mlvpn" &&
	    cd "$work/deb/mlvpn" &&
	    DEB_BUILD_OPTIONS="nocheck parallel=$jobs_max" \
	    dpkg-buildpackage -us -uc -b && cd .. || return
	dpkg-deb -c mlvpn_*.deb
	for file in usr/sbin/mlvpn usr/sbin/mlvpnctl \
	    lib/systemd/system/mlvpn.service usr/share/man/man8/mlvpn.8.gz \
	    usr/share/man/man5/mlvpn.conf.5.gz; do
		dpkg-deb -c mlvpn_*.deb | grep -q " \./$file$" ||
		    { echo "the package lacks /$file"; return 1; }
	done
	dpkg-deb -x mlvpn_*.deb root && root/usr/sbin/mlvpn -V && one
}

# Tests of the daemon in network namespaces.
lab() # BUILD PYTEST_ARGUMENT...
{
	[ "$(id -u)" -eq 0 ] || { echo "needs root"; return 77; }
	build_gcc || return
	# A 32-bit daemon, if there is one, talks to a 64-bit one.
	[ ! -x "$work/i386/src/mlvpn" ] || export MLVPN_I386=$work/i386
	MLVPN_BUILD=$1 "$work/src/tests/net/lab" /usr/bin/python3 -m pytest -q \
	    -p no:cacheprovider "${@:2}" "$work/src/tests/net"
}

stage_net() { lab "$work/gcc" -n 2 -m "not measure"; }
stage_measure() { lab "$work/gcc" -m measure; }

# Sanitized daemons between ordinary tools. A sanitizer's runtime needs system
# calls of its own, so there is no filter to test, and it keeps freed memory,
# so there is no use in weighing the process; it looks for leaks itself.
stage_asan-net()
{
	build_gcc && build_asan || return
	mkdir "$work/asan-net" && ln -s ../asan/src ../gcc/tests "$work/asan-net"
	lab "$work/asan-net" -n 2 -m "not measure" \
	    -k "not filtered and not taken_over and not leak_nothing"
}

# ---- how they are run

# passed, failed and skipped of a log: what libcheck, pytest and our own
# programs end with, added up.
count()
{
	awk '
	function add(n, word)
	{
		if (word ~ /^passed|^xfailed/) p += n
		if (word ~ /^failed|^error|^xpassed/) f += n
		if (word ~ /^skipped/) s += n
	}
	/^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/ {
		f += $5 + $7
		p += $3 - $5 - $7
	}
	/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ ||
	/(passed|failed|skipped|errors?|xfailed|xpassed).* in [0-9.]+s/ {
		for (i = 1; i < NF; i++)
			if ($i ~ /^[0-9]+$/)
				add($i, $(i + 1))
	}
	END { print p + 0, f + 0, s + 0 }
	' "$1"
}

field() { # STAGE NUMBER
	local row
	for row in "${stages[@]}"; do
		read -r -a row <<<"$row"
		[ "${row[0]}" != "$1" ] || echo "${row[$2]}"
	done
}

seconds() # MICROSECONDS
{
	printf '%d.%d s' $(($1 / 1000000)) $(($1 / 100000 % 10))
}

# One stage: its log, its counts, its line.
run() # STAGE
{
	local stage=$1 log=$work/log/$1.log begin=${EPOCHREALTIME/[.,]/}
	local status p f s text needs
	IFS=, read -r -a needs <<<"$(field "$stage" 2)"
	("$source/tests/deps.sh" "${needs[@]}" && "stage_$stage") \
	    >"$log" 2>&1 </dev/null
	status=$?
	read -r p f s <<<"$(count "$log")"
	case $status in
	0)	[ $((p + f + s)) -gt 0 ] || {
			echo "ran no test" >>"$log"
			f=1
		} ;;
	77)	[ $((p + f + s)) -gt 0 ] || s=1 ;;
	*)	[ "$f" -gt 0 ] || f=1 ;;
	esac
	text="$p passed"
	[ "$f" -eq 0 ] || text+=", $f failed"
	[ "$s" -eq 0 ] || text+=", $s skipped"
	echo "$p $f $s" >"$work/$stage.count"
	text=$(printf '%-10s %-36s %9s' "$stage" "$text" \
	    "$(seconds $((${EPOCHREALTIME/[.,]/} - begin)))")
	if [ "$f" -gt 0 ]; then
		text+=$'\n'$(tail -n 25 "$log" | sed 's/^/    /')
		text+=$'\n'"    the whole log: $log"
	elif [ "$status" -eq 77 ]; then
		text+=$'\n'$(tail -n 1 "$log" | sed 's/^/    /')
	else
		rm -f "$log"
	fi
	echo "$text"
}

# The files of the project alone, so that in-tree builds are not disturbed.
copy_source()
{
	mkdir -p "$work/pristine" "$work/log" && cd "$source" || return
	if git -c safe.directory='*' rev-parse HEAD >/dev/null 2>&1; then
		git -c safe.directory='*' ls-files -z -co --exclude-standard |
		    while IFS= read -r -d '' file; do
			[ ! -e "$file" ] || printf '%s\0' "$file"
		    done | tar -c --null -T - | tar -x -C "$work/pristine"
	else
		tar -c --exclude=./.git . | tar -x -C "$work/pristine"
		# An in-tree build would be taken for a part of the source.
		[ ! -f "$work/pristine/Makefile" ] ||
		    make -s -C "$work/pristine" distclean || return
	fi
	cp -R "$work/pristine" "$work/src" && cd "$work" || return
	if ! src/autogen.sh >log/autogen.log 2>&1; then
		cat log/autogen.log
		return 1
	fi
	rm -f log/autogen.log
}

any_alive() # PROCESS_GROUP...
{
	local group
	for group; do
		kill -0 -- "-$group" && return
	done
	return 1
}

# Ends what still runs and keeps nothing but the logs of what failed.
cleanup()
{
	trap '' INT TERM HUP
	exec 2>/dev/null
	local job log stage signal i groups
	mapfile -t groups < <(jobs -p)
	for signal in TERM KILL; do
		for job in "${groups[@]}"; do
			kill -"$signal" -- "-$job"
		done
		for ((i = 0; i < 50; i++)); do
			any_alive "${groups[@]}" || break
			sleep 0.1
		done
	done
	[ -n "$work" ] || return
	cd /
	for log in "$work"/log/*.log; do
		stage=${log##*/}
		[ -f "$work/${stage%.log}.count" ] || rm -f "$log"
	done
	rmdir "$work/log"
	find "$work" -mindepth 1 -maxdepth 1 ! -name log \
	    -exec chmod -R u+w {} + -exec rm -rf {} +
	rmdir "$work"
}

usage()
{
	local row name rest
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
	for row in "${stages[@]}"; do
		read -r name _ _ rest <<<"$row"
		printf '  %-10s %s\n' "$name" "$rest"
	done
}

main()
{
	local stage name needs row p f s passed=0 failed=0 skipped=0 running=0
	local wanted=() purposes=()
	case ${1:-} in
	-h | --help)
		usage
		exit 0 ;;
	esac
	for row in "${stages[@]}"; do
		read -r name _ <<<"$row"
		[ $# -gt 0 ] || wanted+=("$name")
	done
	for stage; do
		[ -n "$(field "$stage" 0)" ] ||
		    { echo "check.sh: no stage $stage, see -h" >&2; exit 2; }
		wanted+=("$stage")
	done

	trap cleanup EXIT
	trap 'exit 130' INT TERM HUP
	work=$(mktemp -d "${TMPDIR:-/tmp}/mlvpn-check-XXXXXX") || exit 1
	chmod 755 "$work"
	# All packages at once; a stage that misses some says so itself.
	for stage in "${wanted[@]}"; do
		IFS=, read -r -a needs <<<"$(field "$stage" 2)"
		purposes+=("${needs[@]}")
	done
	"$source/tests/deps.sh" build "${purposes[@]}" >/dev/null 2>&1 ||
	    "$source/tests/deps.sh" build || exit 1
	copy_source || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }

	set -m # a process group for each stage, to end it as a whole
	for stage in "${wanted[@]}"; do
		if [ "$(field "$stage" 1)" = alone ]; then
			wait
			running=0
			run "$stage" &
			wait
			continue
		fi
		[ "$running" -lt "$stages_max" ] ||
		    { wait -n; running=$((running - 1)); }
		run "$stage" &
		running=$((running + 1))
	done
	wait
	set +m

	for stage in "${wanted[@]}"; do
		read -r p f s <"$work/$stage.count" || { p=0 f=1 s=0; }
		passed=$((passed + p))
		failed=$((failed + f))
		skipped=$((skipped + s))
	done
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

main "$@"
