#!/bin/sh
# Makes the manual pages from their Markdown, with ronn. The results are
# committed, so that a build of mlvpn needs no ronn.
#
#	man/build.sh [DATE]	DATE is that of the pages, default today
set -eu
cd "$(dirname "$0")"
date=${1:-$(date +%Y-%m-%d)}

for source in *.ronn; do
	page=${source%.ronn}
	# ronn writes the month only, which mandoc(1) doesn't take for a date.
	ronn --roff --pipe --manual="mlvpn manual" --organization=mlvpn \
	    "$source" |
	    sed "/^\\.TH/s/^\\(\\.TH \"[^\"]*\" \"[^\"]*\"\\) \"[^\"]*\"/\\1 \"$date\"/" \
	    >"$page.new"
	mv "$page.new" "$page"
done
