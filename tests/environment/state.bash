# State that is hard to write down, and the check that it has come back.
#
# Part of an ebuild: set_state is called in a phase of the build, check_state in phases that run
# in an environment that was saved and loaded. check_state prints what is not as it was and fails
# if anything is not. Nothing here needs more than bash.

set_state() {
	declare -ga ST_HOLES=([0]=a [5]=b [7]='')
	declare -gA ST_MAP=(["]"]=bracket ["two words"]=space [$'new\nline']=newline ['$x']=dollar ["a\"b"]=quote ["'"]=apostrophe ['\']=backslash [=]=equals)
	declare -ga ST_EMPTY_ARRAY=()
	declare -gi ST_INTEGER=5
	declare -gl ST_LOWER=ABC
	declare -gu ST_UPPER=abc
	declare -gxi ST_EXPORTED_INTEGER=7
	declare -g ST_EMPTY=
	export ST_EXPORTED='an exported value'
	export ST_UNSET_EXPORTED
	readonly ST_READONLY='a readonly value'
	ST_PLAIN=$'one\ntwo\tthree\'four\\five"six$seven`eight`!nine\r'
	ST_ESCAPE=$'c\033d\177e'
	ST_CONTROL=$'a\001b\002c'
	ST_INVALID=$'a\xff\xc3b\xe2\x82'
	ST_UTF8=$'\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xa7'
	ST_NEWLINES=$'two at the end\n\n'
	ST_LIKE_CODE=$'f () \n{ \n    false\n}\ndeclare -x Y="z"\nEOF\n'
	export -f st_exported
	st_overridden() { echo phase; }
}

st_plain_heredoc() {
	local name=world
	cat <<EOF2
hello ${name}
}
f() {
EOF2
}

st_quoted_heredoc() {
	cat <<'EOF2'
hello ${name} $(false) `false` \
}
EOF2
}

st_tabbed_heredoc() {
	cat <<-EOF2
		one
		two
	EOF2
}

st_piped_heredoc() {
	cat <<EOF2 | sed -e 's/one/two/'
one
}
EOF2
}

st_two_heredocs() {
	cat <<ONE - /dev/fd/3 3<<'TWO'
first
ONE
second }
TWO
}

st_redirected() {
	echo to stderr
} 1>&2

st_behind_redirected() { echo behind; }

st_quotes() {
	echo "a } b" 'c { d' "e \" f" $'g\'h' "${1:-}}" $(( 1 << 2 )) "$(echo ")")" # } comment '
}

st-with.odd:name+() { echo odd; }

st_exported() { echo exported; }
st_overridden() { echo global; }

# st_same WHAT WANTED FOUND
st_same() {
	[[ $2 == "$3" ]] && return
	printf '%s: wanted %q, found %q\n' "$@"
	ST_FAILED=1
}

check_state() {
	local ST_FAILED='' key='two words'
	st_same holes '0 5 7' "${!ST_HOLES[*]}"
	st_same holes 'a b ' "${ST_HOLES[*]}"
	st_same map 8 "${#ST_MAP[@]}"
	st_same map 'bracket space newline dollar quote apostrophe backslash equals' \
		"${ST_MAP["]"]} ${ST_MAP[$key]} ${ST_MAP[$'new\nline']} ${ST_MAP['$x']} ${ST_MAP["a\"b"]} ${ST_MAP["'"]} ${ST_MAP['\']} ${ST_MAP[=]}"
	st_same empty-array 'declare -a ST_EMPTY_ARRAY=()' "$(declare -p ST_EMPTY_ARRAY 2>&1)"
	st_same integer 'declare -i ST_INTEGER="5"' "$(declare -p ST_INTEGER 2>&1)"
	st_same lower 'declare -l ST_LOWER="abc"' "$(declare -p ST_LOWER 2>&1)"
	st_same upper 'declare -u ST_UPPER="ABC"' "$(declare -p ST_UPPER 2>&1)"
	st_same exported-integer 'declare -ix ST_EXPORTED_INTEGER="7"' "$(declare -p ST_EXPORTED_INTEGER 2>&1)"
	st_same empty 'declare -- ST_EMPTY=""' "$(declare -p ST_EMPTY 2>&1)"
	st_same exported 'an exported value' "$(printenv ST_EXPORTED)"
	st_same unset-exported 'declare -x ST_UNSET_EXPORTED' "$(declare -p ST_UNSET_EXPORTED 2>&1)"
	# Whether it is still readonly is the package manager's choice: it would stop others from setting it.
	st_same readonly 'a readonly value' "${ST_READONLY}"
	st_same plain $'one\ntwo\tthree\'four\\five"six$seven`eight`!nine\r' "${ST_PLAIN}"
	st_same escape $'c\033d\177e' "${ST_ESCAPE}"
	st_same control $'a\001b\002c' "${ST_CONTROL}"
	st_same invalid $'a\xff\xc3b\xe2\x82' "${ST_INVALID}"
	st_same utf8 $'\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xa7' "${ST_UTF8}"
	st_same newlines $'two at the end\n\n' "${ST_NEWLINES}"
	st_same like-code $'f () \n{ \n    false\n}\ndeclare -x Y="z"\nEOF\n' "${ST_LIKE_CODE}"
	st_same plain-heredoc $'hello world\n}\nf() {' "$(st_plain_heredoc)"
	st_same quoted-heredoc $'hello ${name} $(false) `false` \\\n}' "$(st_quoted_heredoc)"
	st_same tabbed-heredoc $'one\ntwo' "$(st_tabbed_heredoc)"
	st_same piped-heredoc $'two\n}' "$(st_piped_heredoc)"
	st_same two-heredocs $'first\nsecond }' "$(st_two_heredocs)"
	st_same redirected 'to stderr' "$(st_redirected 2>&1)"
	st_same behind-redirected behind "$(st_behind_redirected)"
	st_same quotes 'a } b c { d e " f g'\''h x} 4 )' "$(st_quotes x)"
	st_same odd-name odd "$(st-with.odd:name+)"
	st_same exported-function exported "$(bash -c st_exported 2>&1)"
	st_same overridden phase "$(st_overridden)"
	[[ -z ${ST_FAILED} ]]
}

# tell_state PHASE: leaves the outcome of the check in EROOT.
tell_state() {
	check_state >"${EROOT%/}/state.$1" 2>&1
	echo "status $?" >>"${EROOT%/}/state.$1"
}
