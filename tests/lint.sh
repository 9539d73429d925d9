#!/bin/bash
# Checks what a compiler does not: layout, scripts, manual pages, layers.
#
#	tests/lint.sh [CHECK...]	all of them without an argument
#
# Says nothing about a check that passes; ends with a line of totals.
# Needs tests/deps.sh lint.
set -u
shopt -s nullglob globstar
cd "$(dirname "$0")/.." || exit 1

c_files=(src/**/*.[ch] tests/**/*.[ch])

# Layout is what clang-format 14 makes of .clang-format; other releases differ.
lint_format()
{
	clang-format --version | grep -q 'version 14\.' || return 77
	clang-format --dry-run --Werror "${c_files[@]}" 2>&1 |
	    sed -n 's/^\([^ :]*:[0-9]*\):[0-9]*: error: .*/\1: layout/p' |
	    sort -u -t: -k1,1 -k2,2n | head -n 20 | grep . || return 0
	echo "put right by: clang-format -i FILE"
	return 1
}

lint_shell()
{
	local script scripts=()
	for script in autogen.sh tests/**/* .ci/* debian/* debian/**/* doc/**/*
	do
		[ -f "$script" ] && head -n 1 "$script" 2>/dev/null |
		    grep -aqE '^#! ?/(usr/)?bin/(env )?(ba)?sh' &&
		    scripts+=("$script")
	done
	shellcheck "${scripts[@]}"
}

lint_python()
{
	local files=(tests/**/*.py doc/**/*.py)
	[ ${#files[@]} -gt 0 ] || return 77
	/usr/bin/python3 -m pyflakes "${files[@]}"
}

lint_man()
{
	local pages=(man/*.[1-8])
	[ ${#pages[@]} -gt 0 ] || { echo "man/: no built pages"; return 1; }
	mandoc -T lint -W warning "${pages[@]}"
}

# Every keyword and every option has its entry in the manual, in the text and
# in the page that is built from it.
lint_manual()
{
	local page word status=0
	while read -r page word; do
		grep -q -e "^ *\* .*\`$word\`" "man/$page.ronn" ||
		    { echo "man/$page.ronn: no entry for $word"; status=1; }
		word=${word//-/\\-}
		word=${word//./\\.}
		grep -qF -e "\\fB$word\\fR" "man/$page" ||
		    { echo "man/$page: no entry for $word"; status=1; }
	done < <(
		sed -nE 's/^\t\{ "([a-z0-9_]+)", (GENERAL|LINK)\(.*/mlvpn.conf.5 \1/p' \
		    src/conf/conf_keys.c
		sed -nE 's/^\t\{ "([a-z-]+)", [a-z]+_argument.*/mlvpn.8 --\1/p' \
		    src/options.c
		sed -nE 's/^\t\{ "([a-z-]+)", [a-z]+_argument.*/mlvpnctl.8 --\1/p' \
		    src/ctl/mlvpnctl.c
	)
	return $status
}

# A file includes its own layer or a lower one.
lint_layers()
{
	local rules=(
		"base: base"
		"conf: base conf"
		"tunnel: base conf tunnel"
		"ipc: base conf tunnel ipc"
		"priv: base conf tunnel ipc priv"
		"worker: base conf tunnel ipc worker"
		"ctl: base conf ctl"
	) rule dir allowed status=0
	for rule in "${rules[@]}"; do
		dir=${rule%%:*}
		allowed=${rule#*: }
		grep -rnE '^#include "[a-z]+/' "src/$dir" --include='*.[ch]' |
		    grep -vE "\"(${allowed// /|})/" && status=1
	done
	return $status
}

# One file is one subject, one function one job.
lint_size()
{
	awk '
	FNR == 1 { if (lines > 600) over(); name = ""; start = 0 }
	{ file = FILENAME; lines = FNR }
	/^[a-z_][a-zA-Z0-9_]*\(/ { name = $0; sub(/\(.*/, "", name) }
	/^\{/ { start = FNR }
	/^\}/ {
		if (start && name != "" && FNR - start > 80) {
			printf "%s:%d: %s() has %d lines\n", \
			    FILENAME, start, name, FNR - start
			bad = 1
		}
		start = 0
	}
	function over() { printf "%s: %d lines\n", file, lines; bad = 1 }
	END { if (lines > 600) over(); exit bad }
	' "${c_files[@]}"
}

# The version stands in configure.ac; Debian's changelog has to follow.
lint_version()
{
	local ours debian
	ours=$(sed -n 's/^AC_INIT(\[[^]]*\], *\[\([^]]*\)\].*/\1/p' configure.ac)
	debian=$(sed -n '1s/.*(\([^)]*\)).*/\1/p' debian/changelog)
	[ -n "$ours" ] && [ "$ours" = "${debian%-*}" ] && return
	echo "configure.ac says $ours, debian/changelog $debian"
	return 1
}

[ $# -gt 0 ] || set -- format shell python man manual layers size version
passed=0 failed=0 skipped=0
for check; do
	"lint_$check" 2>&1
	case $? in
	0)	passed=$((passed + 1)) ;;
	77)	skipped=$((skipped + 1)); echo "lint: $check skipped" ;;
	*)	failed=$((failed + 1)); echo "lint: $check FAILED" ;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
