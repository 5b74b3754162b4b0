# shellcheck shell=bash
# Eclasses that a processor keeps in two parts: the top level, parsed once, and the functions'
# bodies as text, parsed when they are first called.

# The functions of the top levels by eclass; the bodies by their id.
declare -gA __EBD_ECLASSES=() __EBD_BODIES=()

# __ebd_body ID NAME [ARGUMENT…]: what a stub does: defines the function that it stands for, notes
# that it did, and calls the function, which finds the status that its caller had.
__ebd_body() {
	builtin local __ebd_status="$?"
	__ebd_note "$1"
	# A copy under another name would call itself for ever, as would a readonly stub.
	[[ ${FUNCNAME[1]} == "$2" ]] || die "a function of an eclass was copied"
	builtin eval "${__EBD_BODIES[$1]}" || die "a function of an eclass cannot be defined anew"
	builtin shift 2
	[[ ${__ebd_status} == 0 ]] || __ebd_return "${__ebd_status}"
	"${FUNCNAME[1]}" "$@"
}

# __ebd_note ID: notes that a function was entered, and has the status that was before.
__ebd_note() {
	builtin local __ebd_status="$?"
	__EBD_ENTERED+=" $1"
	# A subshell's variables are lost; what cannot be told there must not stay unknown.
	if [[ ${BASHPID} != "${__EBD_SHELL_PID}" ]]; then
		builtin printf ' %s' "$1" >>"${__EBD_BUILD}/entered" ||
			die "a function of an eclass was entered unseen"
	fi
	builtin return "${__ebd_status}"
}

# __ebd_return STATUS: has that status.
__ebd_return() {
	builtin return "$1"
}
