# shellcheck shell=bash
# Eclasses that a processor keeps in two parts: the top level, parsed once, and the functions'
# bodies as text, parsed when they are first called.

# The functions of the top levels by eclass; the bodies by their id.
declare -gA __EBD_ECLASSES=() __EBD_BODIES=()

# __ebd_body ID [ARGUMENT…]: what a stub does: defines the function that it stands for, notes that
# it did, and calls the function, which finds the status that its caller had.
__ebd_body() {
	builtin local __ebd_status="$?"
	__EBD_ENTERED+=" $1"
	# A subshell's variables are lost.
	[[ ${BASHPID} == "${__EBD_SHELL_PID}" ]] || builtin printf ' %s' "$1" >>"${__EBD_BUILD}/entered"
	# A readonly stub would call itself for ever.
	builtin eval "${__EBD_BODIES[$1]}" || die "a function of an eclass cannot be defined anew"
	builtin shift
	[[ ${__ebd_status} == 0 ]] || __ebd_return "${__ebd_status}"
	"${FUNCNAME[1]}" "$@"
}

# __ebd_return STATUS: has that status.
__ebd_return() {
	builtin return "$1"
}
