# shellcheck shell=bash
# Output commands (PMS, output commands): what an ebuild tells its user.
#
# All of it goes to standard error, in every EAPI. What was told is also sent to the supervisor,
# which keeps the logs.

# __ebd_output_init
#
# Sets the escapes used from here on. Colour only when __EBD_COLOR is set; __EBD_COLUMNS is the
# width of the terminal, 80 when nothing is known.
__ebd_output_init() {
	if [[ -n ${__EBD_COLOR} ]]; then
		builtin local columns="${__EBD_COLUMNS:-80}"
		__EBD_COLOR_INFO=$'\e[32m'
		__EBD_COLOR_LOG=$'\e[32;01m'
		__EBD_COLOR_WARN=$'\e[33;01m'
		__EBD_COLOR_ERROR=$'\e[31;01m'
		__EBD_COLOR_QA=$'\e[33m'
		__EBD_COLOR_NORMAL=$'\e[0m'
		__EBD_MARK_OK=$'\e[34;01m[ \e[32;01mok\e[34;01m ]\e[0m'
		__EBD_MARK_BAD=$'\e[34;01m[ \e[31;01m!!\e[34;01m ]\e[0m'
		# One line up, then to the last eight columns: the mark ends the line of ebegin.
		__EBD_END_COLUMN=$'\e[A\e['"$(( columns > 8 ? columns - 8 : 1 ))C"
	else
		__EBD_COLOR_INFO=''
		__EBD_COLOR_LOG=''
		__EBD_COLOR_WARN=''
		__EBD_COLOR_ERROR=''
		__EBD_COLOR_QA=''
		__EBD_COLOR_NORMAL=''
		__EBD_END_COLUMN=''
		__EBD_MARK_OK='[ ok ]'
		__EBD_MARK_BAD='[ !! ]'
	fi
	builtin declare -gi __EBD_EBEGIN_DEPTH=0
}

# __ebd_unescape TEXT
#
# Sets __EBD_TEXT to TEXT with the backslash escapes of bash's `echo -e` carried out.
__ebd_unescape() {
	if [[ $1 != *\\* ]]; then
		__EBD_TEXT=$1
	elif [[ $1 != *\\[1-7\"\'?]* ]]; then
		builtin printf -v __EBD_TEXT '%b' "$1"
	else
		# printf reads \1 to \7, \", \' and \? where echo does not. The letter in front keeps echo
		# from taking the text for an option, the byte at the end keeps newlines there.
		# shellcheck disable=SC2116
		__EBD_TEXT=$(builtin echo -e "x$1"$'\001' 2>/dev/null)
		__EBD_TEXT=${__EBD_TEXT#x}
		__EBD_TEXT=${__EBD_TEXT%$'\001'}
	fi
}

# __ebd_log LEVEL TEXT
#
# Hands one message to the supervisor's log. While metadata is made there is no log.
__ebd_log() {
	[[ -z $2 || ${EBUILD_PHASE} == depend ]] || __ebd_notify elog "$1" "${EBUILD_PHASE:-other}" "$2"
}

# __ebd_message LEVEL COLOUR WORD…
#
# Shows and logs one message; each of its lines gets the star.
__ebd_message() {
	builtin local level="$1" prefix=" $2*${__EBD_COLOR_NORMAL} " IFS=' ' __EBD_TEXT
	shift 2
	__ebd_unescape "$*"
	__ebd_log "${level}" "${__EBD_TEXT}"
	builtin printf '%s\n' "${prefix}${__EBD_TEXT//$'\n'/$'\n'"${prefix}"}" >&2
	return 0
}

einfo() {
	__ebd_message INFO "${__EBD_COLOR_INFO}" "$@"
}

elog() {
	__ebd_message LOG "${__EBD_COLOR_LOG}" "$@"
}

ewarn() {
	__ebd_message WARN "${__EBD_COLOR_WARN}" "$@"
}

eerror() {
	__ebd_message ERROR "${__EBD_COLOR_ERROR}" "$@"
}

eqawarn() {
	__ebd_message QA "${__EBD_COLOR_QA}" "$@"
}

# The library's own notices: eqawarn is gone in EAPIs that lack it.
__ebd_qa_notice() {
	__ebd_message QA "${__EBD_COLOR_QA}" "QA Notice: $*"
}

einfon() {
	builtin local IFS=' ' __EBD_TEXT
	__ebd_unescape "$*"
	__ebd_log INFO "${__EBD_TEXT}"
	builtin printf '%s' " ${__EBD_COLOR_INFO}*${__EBD_COLOR_NORMAL} ${__EBD_TEXT}" >&2
	return 0
}

ebegin() {
	builtin local IFS=' '
	einfon "$* ..."
	builtin printf '\n' >&2
	__EBD_EBEGIN_DEPTH+=1
	return 0
}

eend() {
	builtin local IFS=' ' status="$1"
	case ${status} in
		'') die "eend: the exit status is missing" ;;
		*[!0123456789]*) die "eend: not an exit status: '${status}'" ;;
	esac
	shift
	if (( __EBD_EBEGIN_DEPTH > 0 )); then
		__EBD_EBEGIN_DEPTH+=-1
	else
		__ebd_qa_notice "eend called without preceding ebegin in ${FUNCNAME[1]}"
	fi
	status=$(( 10#${status} ))
	if (( status == 0 )); then
		builtin printf '%s\n' "${__EBD_END_COLUMN} ${__EBD_MARK_OK}" >&2
	else
		[[ -z $* ]] || eerror "$*"
		builtin printf '%s\n' "${__EBD_END_COLUMN} ${__EBD_MARK_BAD}" >&2
	fi
	return "${status}"
}
