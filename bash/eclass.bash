# shellcheck shell=bash
# Eclasses that a processor keeps in two parts: the top level, parsed once, and the functions'
# bodies as text, parsed when they are first called.

declare -gA __EBD_ECLASSES=() __EBD_BODIES=()

# __ebd_body ID: what a stub does: defines the function that it stands for, and notes that it did.
#
# The stub then calls the function by its name, which is the real one from now on, and which finds
# the status that its caller had.
__ebd_body() {
	builtin local __ebd_status="$?"
	__EBD_ENTERED+=" $1"
	# A readonly stub would call itself for ever.
	builtin eval "${__EBD_BODIES[$1]}" || die "a function of an eclass cannot be defined anew"
	builtin return "${__ebd_status}"
}
