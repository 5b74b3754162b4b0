# shellcheck shell=bash
# The end of a build from within: die, nonfatal, and what a failed helper does.

# die [-n] [MESSAGE…]
#
# Ends the build, from any depth: the supervisor is told why and where, then the shell that runs
# the phases is killed, so that nothing behind a die in a subshell or a pipe is executed.
die() {
	builtin local __ebd_status="$?"
	builtin set +x +e +f +u
	builtin local IFS=$' \t\n'
	if [[ $1 == -n ]]; then
		builtin shift
		if [[ -n ${__EBD_NONFATAL} && -n ${__EBD_EAPI[die_nonfatal_option]} ]]; then
			[[ $# -gt 0 ]] && eerror "$*"
			builtin return 1
		fi
	fi
	__ebd_tell_death "$@"
	__ebd_record_failure
	__ebd_stop "${__ebd_status}"
}

# __ebd_tell_death MESSAGE…: what die says, and that it was called. In a function of its own, whose
# variables are gone when the state of the line that failed is kept.
__ebd_tell_death() {
	builtin local message="$*" where='' line='' func='' stack='' i source name at
	[[ -n ${message} ]] || message='(no error message)'
	for ((i = 2; i < ${#FUNCNAME[@]}; i++)); do
		source=${BASH_SOURCE[i]} name=${FUNCNAME[i - 1]}
		# Internals are no place that somebody who reads the message could go to.
		case ${source} in
			"${__EBD_BUILD}"/environment.* | "${__EBD_BUILD}"/user.rc) ;;
			"${__EBD_BUILD}"/*) builtin continue ;;
		esac
		[[ ${source} == */* && ${FUNCNAME[i]} != __ebd_* ]] || builtin continue
		at=${BASH_LINENO[i - 1]}
		[[ ${name} != __ebd_helper_failed ]] || at=${__ebd_failed_line}
		if [[ -z ${where} ]]; then
			where=${source} line=${at} func=${FUNCNAME[i]}
		fi
		[[ ${name} == __ebd_* ]] && name=die
		stack+=" *   ${source##*/}, line ${at}: ${FUNCNAME[i]} called ${name}"$'\n'
	done
	{
		builtin printf ' * ERROR: %s failed (%s phase):\n' "${CATEGORY}/${PF}" "${EBUILD_PHASE:-unknown}"
		builtin printf ' *   %s\n' "${message//$'\n'/$'\n' *   }"
		[[ -z ${stack} ]] || builtin printf ' * Called from:\n%s' "${stack}"
	} >&2
	builtin local hook
	for hook in ${EBUILD_DEATH_HOOKS}; do
		"${hook}" "$@" >&2 2>/dev/null
	done
	__ebd_notify died "${EBUILD_PHASE:-}" "${message}" "${where}" "${line}" "${func}" "${stack}"
}

# __ebd_record_failure: keeps the state of the line that failed, for who wants to look at it: the
# folder, the umask, the limits, and all variables, those of the functions at work among them. The
# first failure is the cause of the others.
__ebd_record_failure() {
	[[ -n ${__EBD_PHASE_FUNC} && ! -e ${__EBD_BUILD}/failure ]] || builtin return 0
	(
		builtin set -C
		{
			builtin printf '%s\0' "${__EBD_PHASE_FUNC}" "${PWD}" "$(builtin umask)"
			for __ebd_name in c d f l m n s t u v; do
				builtin printf '%s\0' "${__ebd_name}=$(builtin ulimit -S "-${__ebd_name}")"
			done
		} >"${__EBD_BUILD}/failure" || builtin exit
		builtin unset -v __ebd_name __ebd_status
		__ebd_write_environment "${__EBD_BUILD}/failure.environment"
	) 2>/dev/null
}

# __ebd_stop: ends the whole fork at once, whatever subshell this is.
__ebd_stop() {
	builtin kill -KILL "${__EBD_SHELL_PID}" 2>/dev/null
	builtin kill -KILL "${BASHPID}"
	builtin exit "${1:-1}"
}

# nonfatal COMMAND…: runs it so that a helper's failure, or die -n, is a status and no more.
nonfatal() {
	if [[ -z ${__EBD_EAPI[nonfatal]} ]]; then
		die "nonfatal: not defined in EAPI ${EAPI:-0}"
	fi
	if [[ $# -lt 1 ]]; then
		die "nonfatal: a command is missing"
	fi
	# shellcheck disable=SC2034 # the second is for helpers that only know that one
	builtin local -x __EBD_NONFATAL=1 PORTAGE_NONFATAL=1
	"$@"
}

# __ebd_helper_fail MESSAGE: what every command does that fails (PMS 12.1).
__ebd_helper_fail() {
	if [[ -z ${__EBD_EAPI[helpers_die]} ]] || [[ -n ${__EBD_NONFATAL} ]]; then
		eerror "$1"
		builtin return 1
	fi
	die "$1"
}

# __ebd_helper_failed COMMAND: what the signal of a failed helper makes this shell do.
#
# Helpers are programs (PMS 12.3), so their failure cannot call die here. Instead they leave their
# message in a file and send the shell a signal, whose trap runs as soon as the command that the
# helper was part of is over: still in the function that called it.
__ebd_helper_failed() {
	builtin local __ebd_message='a helper failed' __ebd_failed_line
	if [[ -r ${__EBD_BUILD}/helper-failed ]]; then
		__ebd_message=$(<"${__EBD_BUILD}/helper-failed")
	fi
	__ebd_find_line "${FUNCNAME[1]}" "$1" "${__ebd_message%%:*}"
	die "${__ebd_message}"
}

# __ebd_find_line FUNCTION COMMAND HELPER
#
# Sets __ebd_failed_line to the line of the function that the helper was most likely called at: in a
# signal's trap bash no longer knows it, only the text of its own last command. If that is the
# helper, the first line that begins so counts, else the first that has the helper's name as a word
# (it may be called by a subshell or by xargs), else the function's own.
__ebd_find_line() {
	builtin local IFS=$' \t\n' place file start number=0 line first="$3" begins='' has=''
	builtin shopt -s extdebug
	place=$(builtin declare -F "$1")
	builtin shopt -u extdebug
	place=${place#* }
	start=${place%% *} file=${place#* }
	__ebd_failed_line=${start}
	[[ -n ${first} && -r ${file} && ${start} == +([0-9]) ]] || builtin return 0
	while builtin read -r line; do
		number=$((number + 1))
		if [[ ${number} -gt ${start} ]]; then
			[[ -n ${begins} || ${2%%[[:space:]]*} != "${first}" || ${line} != "${2%%[$'\n']*}"* ]] || begins=${number}
			[[ -n ${has} || " ${line} " != *[[:space:]\(\;\|]"${first}"[[:space:]\;\)\|]* ]] || has=${number}
			[[ ${line} != '}' ]] || builtin break
		fi
	done <"${file}"
	__ebd_failed_line=${begins:-${has:-${start}}}
}
