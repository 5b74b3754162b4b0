# shellcheck shell=bash
# Turns the library, which has the commands of all EAPIs, into that of one.

# __ebd_select_eapi
#
# Called once, in the fork that works for one ebuild, with __EBD_EAPI set and before anything of
# the ebuild is read. A command the EAPI does not have yet is removed, as eclasses look for it and
# bring their own; one the EAPI bans is replaced by one that aborts.
__ebd_select_eapi() {
	builtin local -
	builtin local IFS=' ' command
	builtin set -f
	# shellcheck disable=SC2086
	builtin unset -f ${__EBD_EAPI[absent_functions]}
	# What an eclass brings under such a name is no part of the library, and is saved.
	for command in ${__EBD_EAPI[absent_functions]}; do
		builtin unset -v "__EBD_LIBRARY[${command}]"
	done
	# Nobody brings these himself, and a missing command alone would not end the build.
	for command in default docompress dostrip; do
		if __ebd_contains_word "${command}" "${__EBD_EAPI[absent_functions]}"; then
			builtin eval "${command}() { die \"${command}: not available in EAPI \${EAPI:-0}\"; }"
		fi
	done
	for command in ${__EBD_EAPI[banned_functions]}; do
		builtin eval "${command}() { die \"${command}: banned in EAPI \${EAPI:-0}\"; }"
	done
}
