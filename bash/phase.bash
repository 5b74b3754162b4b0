# shellcheck shell=bash
# Running phase functions: where they start, what surrounds them, what is reset behind them.

# __ebd_phase NAME FUNCTION: runs one phase with its hooks.
__ebd_phase() {
	__EBD_PHASE_FUNC=$2
	if [[ $2 == src_install ]]; then
		__ebd_install_init
	fi
	__ebd_enter_directory "$1" "$2"
	__ebd_call_if_defined "pre_$2"
	if declare -F "$2" >/dev/null; then
		"$2"
	else
		__ebd_run_default "$2"
	fi
	__ebd_restore_shell
	if [[ $2 == src_prepare && " ${__EBD_EAPI[functions]} " == *" eapply_user "* && ! -e ${T}/.portage_user_patches_applied ]]; then
		die "src_prepare: eapply_user (or default) must be called (PMS 12.3.10)"
	fi
	__ebd_call_if_defined "post_$2"
	unset -v __EBD_PHASE_FUNC
}

__ebd_call_if_defined() {
	if declare -F "$1" >/dev/null; then
		"$1"
	fi
}

# Where a phase starts (PMS 9.1.1 and 9.1.2).
__ebd_enter_directory() {
	case $2 in
	pkg_*)
		builtin cd -- "${PORTAGE_BUILDDIR}/empty" || die "${PORTAGE_BUILDDIR}/empty: cannot be entered"
		;;
	src_unpack)
		builtin cd -- "${WORKDIR}" || die "${WORKDIR}: cannot be entered"
		;;
	src_*)
		if [[ -d ${S} ]]; then
			builtin cd -- "${S}" || die "${S}: cannot be entered"
		elif [[ -n ${__EBD_EAPI[s_always_falls_back]} ]] || { [[ -z ${A} ]] && ! __ebd_defines_phase_up_to "$1"; }; then
			builtin cd -- "${WORKDIR}" || die "${WORKDIR}: cannot be entered"
		else
			die "the source directory '${S}' (S) does not exist"
		fi
		;;
	esac
}

# Whether the ebuild defines any src_ phase from unpack up to the named one.
__ebd_defines_phase_up_to() {
	local phase
	for phase in unpack prepare configure compile test install; do
		[[ " ${DEFINED_PHASES} " == *" ${phase} "* ]] && return 0
		[[ ${phase} == "$1" ]] && return 1
	done
	return 1
}

# Puts the shell back to what a phase may rely on when it starts, whatever the one before left.
__ebd_restore_shell() {
	builtin enable "${__EBD_BUILTINS[@]}"
	set +aefnuvxCEHPT -B
	set +o pipefail +o posix
	IFS=$' \t\n'
	if [[ ${BASHOPTS} != "${__EBD_BASHOPTS}" ]]; then
		local option changed=${BASHOPTS}
		for option in ${changed//:/ }; do
			[[ :${__EBD_BASHOPTS}: == *:"${option}":* ]] || shopt -u "${option}"
		done
		for option in ${__EBD_BASHOPTS//:/ }; do
			[[ :${changed}: == *:"${option}":* ]] || shopt -s "${option}"
		done
		eqawarn "QA Notice: shell options changed and were not restored in ${__EBD_PHASE_FUNC:-global scope}"
	fi
	trap - EXIT ERR DEBUG RETURN INT TERM HUP QUIT USR1 USR2 PIPE ALRM
	trap '__ebd_helper_failed "${BASH_COMMAND}"' PWR
	umask 022
	builtin cd -- "${PORTAGE_BUILDDIR}/empty" 2>/dev/null || builtin cd / || return
	DIRSTACK=()
	unalias -a
	__ebd_close_descriptors
}

# Closes every descriptor but the standard ones. Nothing here may be redirected: bash would keep
# the original in a descriptor that is then closed too.
__ebd_close_descriptors() {
	local fd
	for fd in /proc/self/fd/*; do
		fd=${fd##*/}
		if [[ ${fd} -gt 2 && ${fd} -ne 255 ]]; then
			eval "exec ${fd}>&-"
		fi
	done
}

# __ebd_remember_builtins: notes the builtins that __ebd_restore_shell enables again.
__ebd_remember_builtins() {
	local text IFS=$' \t\n'
	text=$'\n'$(builtin enable)
	# shellcheck disable=SC2206
	declare -ga __EBD_BUILTINS=( ${text//$'\n'enable /$'\n'} )
}
