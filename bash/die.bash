# shellcheck shell=bash
# The end of a build from within: die, nonfatal, and what a failed helper does.

# die [-n] [MESSAGE…]
#
# Ends the build, from any depth: the supervisor is told why and where, then the shell that runs
# the phases is killed, so that nothing behind a die in a subshell or a pipe is executed.
die() {
	local __ebd_status=$?
	set +x +e +f +u
	local IFS=$' \t\n'
	if [[ $1 == -n ]]; then
		shift
		if [[ -n ${__EBD_NONFATAL} && -n ${__EBD_EAPI[die_nonfatal_option]} ]]; then
			[[ $# -gt 0 ]] && eerror "$*"
			return 1
		fi
	fi
	local message=${*:-"(no error message)"} where='' line='' func='' stack='' i source name
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		source=${BASH_SOURCE[i]} name=${FUNCNAME[i - 1]}
		# Internals are no place that somebody who reads the message could go to.
		[[ ${source} == */* && ${FUNCNAME[i]} != __ebd_* ]] || continue
		if [[ -z ${where} ]]; then
			where=${source} line=${BASH_LINENO[i - 1]} func=${FUNCNAME[i]}
			if [[ -n ${__ebd_command} && ${name} == __ebd_helper_failed ]]; then
				__ebd_line_of_command "${func}" "${where}"
				stack+=" *   ${source##*/}${line:+, line ${line}}: ${func} called ${__ebd_command%%$'\n'*}"$'\n'
				continue
			fi
		fi
		[[ ${name} == __ebd_* ]] && name=die
		stack+=" *   ${source##*/}, line ${BASH_LINENO[i - 1]}: ${FUNCNAME[i]} called ${name}"$'\n'
	done
	{
		builtin printf ' * ERROR: %s failed (%s phase):\n' "${CATEGORY}/${PF}" "${EBUILD_PHASE:-unknown}"
		builtin printf ' *   %s\n' "${message//$'\n'/$'\n' *   }"
		[[ -z ${stack} ]] || builtin printf ' * Called from:\n%s' "${stack}"
	} >&2
	local hook
	for hook in ${EBUILD_DEATH_HOOKS}; do
		"${hook}" "$@" >&2 2>/dev/null
	done
	__ebd_notify died "${EBUILD_PHASE:-}" "${message}" "${where}" "${line}" "${func}" "${stack}"
	__ebd_stop "${__ebd_status}"
}

# __ebd_stop: ends the whole fork at once, whatever subshell this is.
__ebd_stop() {
	builtin kill -KILL "${__EBD_SHELL_PID}" 2>/dev/null
	builtin kill -KILL "${BASHPID}"
	exit "${1:-1}"
}

# nonfatal COMMAND…: runs it so that a helper's failure, or die -n, is a status and no more.
nonfatal() {
	if [[ -z ${__EBD_EAPI[nonfatal]} ]]; then
		die "nonfatal: not defined in EAPI ${EAPI:-0}"
	fi
	if [[ $# -lt 1 ]]; then
		die "nonfatal: a command is missing"
	fi
	local -x __EBD_NONFATAL=1 PORTAGE_NONFATAL=1
	"$@"
}

# __ebd_helper_fail MESSAGE: what every command does that fails (PMS 12.1).
__ebd_helper_fail() {
	if [[ -z ${__EBD_EAPI[helpers_die]} ]] || [[ -n ${__EBD_NONFATAL} ]]; then
		eerror "$1"
		return 1
	fi
	die "$1"
}

# __ebd_helper_failed: what the signal of a failed helper makes this shell do.
#
# Helpers are programs (PMS 12.3), so their failure cannot call die here. Instead they leave their
# message in a file and send the shell a signal, whose trap runs as soon as the command that the
# helper was part of is over: still in the function that called it. Bash does not know the line in a
# trap; what it knows is the command.
__ebd_helper_failed() {
	local __ebd_command=${BASH_COMMAND} message='a helper failed'
	if [[ -r ${__EBD_BUILD}/helper-failed ]]; then
		message=$(<"${__EBD_BUILD}/helper-failed")
	fi
	die "${message}"
}

# __ebd_line_of_command FUNCTION FILE
#
# Sets line to the one in which the function calls the command whose text is in __ebd_command, if
# there is exactly one such line, else to nothing.
__ebd_line_of_command() {
	local __ebd_text __ebd_at __ebd_found=() __ebd_start __ebd_what
	local -a __ebd_lines=()
	line=
	[[ -r $2 ]] || return 0
	shopt -s extdebug
	__ebd_start=$(declare -F "$1")
	shopt -u extdebug
	__ebd_start=${__ebd_start#* }
	__ebd_start=${__ebd_start%% *}
	[[ ${__ebd_start} == [0-9]* ]] || return 0
	builtin mapfile -t -s "$((__ebd_start - 1))" __ebd_lines <"$2"
	# The command as bash prints it; where it was written in another way, its first word must do.
	for __ebd_what in "${__ebd_command%%$'\n'*}" "${__ebd_command%%[[:space:]]*}"; do
		__ebd_found=()
		for __ebd_at in "${!__ebd_lines[@]}"; do
			__ebd_text=${__ebd_lines[__ebd_at]}
			[[ ${__ebd_at} -eq 0 || ${__ebd_text} != "}"* ]] || break
			[[ " ${__ebd_text//[$'\t'$'(){};']/ } " == *" ${__ebd_what//[$'\t'$'(){};']/ } "* ]] &&
				__ebd_found+=("$((__ebd_start + __ebd_at))")
		done
		[[ ${#__ebd_found[@]} -eq 0 ]] || break
	done
	[[ ${#__ebd_found[@]} -ne 1 ]] || line=${__ebd_found[0]}
}
