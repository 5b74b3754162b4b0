# shellcheck shell=bash
# The ebuild is sourced: what that gave is written down.

set +x
__ebd_write_environment_of_ebuild() {
	if [[ -n ${__EBD_TRACE} ]]; then
		builtin local IFS=$'\n'
		builtin shopt -s extdebug
		# shellcheck disable=SC2046 # a list
		builtin declare -F $(builtin compgen -A function) >"${__EBD_TRACE}.functions"
		builtin shopt -u extdebug
	fi
	__ebd_write_environment "$1"
}
__ebd_write_environment_of_ebuild "${__EBD_INTO}"
