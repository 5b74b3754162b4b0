# shellcheck shell=bash disable=SC2034
# What fits nowhere else: debug and sandbox commands, edo, the pipe status, hooks.

# Debug output goes to ECLASS_DEBUG_OUTPUT (a file, or `on` for standard error) and, during a
# phase, to the log in T.
debug-print() {
	[[ ${EBUILD_PHASE} != depend && -n ${T} && $# -gt 0 ]] || return 0
	if [[ ${ECLASS_DEBUG_OUTPUT} == on ]]; then
		builtin printf 'debug: %s\n' "$@" >&2
	elif [[ -n ${ECLASS_DEBUG_OUTPUT} ]]; then
		builtin printf 'debug: %s\n' "$@" >> "${ECLASS_DEBUG_OUTPUT}"
	fi
	[[ ! -w ${T} ]] || builtin printf '%s\n' "$@" >> "${T}/eclass-debug.log"
	return 0
}

debug-print-function() {
	[[ ${EBUILD_PHASE} != depend ]] || return 0
	builtin local IFS=' '
	debug-print "$1: entering function, parameters: ${*:2}"
}

debug-print-section() {
	[[ ${EBUILD_PHASE} != depend ]] || return 0
	builtin local IFS=' '
	debug-print "now in section $*"
}

# __ebd_sandbox_add COMMAND PATH
#
# Appends to the sandbox's list of the same name, which is an exported variable, and has it hold from
# now on, for programs that run already too. A colon of the path is escaped in the variable.
__ebd_sandbox_add() {
	builtin local command="$1" list
	list="SANDBOX_${command#add}"
	list=${list^^}
	shift
	__ebd_scope "${command}"
	(( $# == 1 )) || die "${command}: takes exactly one path, not $#"
	builtin export "${list}=${!list:+${!list}:}${1//:/\\:}"
	__ebd_sandbox_tell "${command#add}" "$1"
}

# __ebd_sandbox_tell LIST PATH
#
# Tells the supervisor by opening a path that is none: whoever watches the system calls sees it.
__ebd_sandbox_tell() {
	[[ -n ${__EBD_CONTROL} && -n $2 ]] || return 0
	builtin local path=$2
	[[ ${path} == /* ]] || path=${PWD}/${path}
	{ : >| "${__EBD_CONTROL}$1${path}"; } 2>/dev/null \
		|| die "add$1: the sandbox did not take the path '$2'"
}

# __ebd_sandbox_announce
#
# Tells the supervisor what earlier phases have added to the lists.
__ebd_sandbox_announce() {
	[[ -n ${__EBD_CONTROL} ]] || return 0
	builtin local - list name base value path mark=$'\001'
	builtin set -f
	for list in read write predict deny; do
		name=SANDBOX_${list^^}
		base=__EBD_${name}
		[[ ${!name} != "${!base}" ]] || continue
		value=${!name}
		# What the build began with is known.
		[[ -z ${!base} ]] || value=${value#"${!base}"}
		value=${value//\\:/${mark}}
		builtin local IFS=:
		for path in ${value}; do
			__ebd_sandbox_tell "${list}" "${path//${mark}/:}"
		done
		builtin unset -v IFS
	done
}

addread() {
	__ebd_sandbox_add addread "$@"
}

addwrite() {
	__ebd_sandbox_add addwrite "$@"
}

addpredict() {
	__ebd_sandbox_add addpredict "$@"
}

adddeny() {
	__ebd_sandbox_add adddeny "$@"
}

# edo COMMAND [ARGUMENT…]
edo() {
	builtin local word quoted line=
	__ebd_scope edo
	(( $# )) || die "edo: takes a command"
	for word; do
		# Quotes only where a reader, or a shell, would need them.
		builtin printf -v quoted '%q' "${word}"
		[[ ${quoted} == "${word}" ]] || word=${word@Q}
		line+="${line:+ }${word}"
	done
	builtin printf '%s\n' " ${__EBD_COLOR_INFO}*${__EBD_COLOR_NORMAL} ${line}" >&2
	__ebd_log INFO "${line}"
	"$@" || {
		__ebd_helper_fail "edo: failed to run: ${line}"
		return 1
	}
}

# assert [MESSAGE…]
#
# The copy has to be the first thing done: any other command replaces PIPESTATUS.
assert() {
	__EBD_PIPESTATUS=( "${PIPESTATUS[@]}" )
	builtin local status
	for status in "${__EBD_PIPESTATUS[@]}"; do
		(( status == 0 )) || die "$@"
	done
}

# pipestatus [-v]
pipestatus() {
	__EBD_PIPESTATUS=( "${PIPESTATUS[@]}" )
	builtin local IFS=' ' status result=0
	if (( $# > 1 )) || [[ -n $1 && $1 != -v ]]; then
		die "pipestatus: takes no argument but -v"
	fi
	for status in "${__EBD_PIPESTATUS[@]}"; do
		(( status == 0 )) || result=${status}
	done
	[[ $1 != -v ]] || builtin printf '%s\n' "${__EBD_PIPESTATUS[*]}"
	return "${result}"
}

# __ebd_register_hook VARIABLE FUNCTION…
__ebd_register_hook() {
	builtin local variable="$1" hook
	shift
	for hook; do
		[[ -n ${hook} && ${hook} != *[[:space:]]* ]] || continue
		__ebd_contains_word "${hook}" "${!variable}" \
			|| builtin declare -gx "${variable}=${!variable} ${hook}"
	done
}

# What eclasses use beyond the specification: functions called when a phase has died or the build
# has succeeded. Some write to the variables themselves.
register_die_hook() {
	__ebd_register_hook EBUILD_DEATH_HOOKS "$@"
}

register_success_hook() {
	__ebd_register_hook EBUILD_SUCCESS_HOOKS "$@"
}

# __ebd_success_hooks: calls the functions that are registered for when the build has succeeded.
__ebd_success_hooks() {
	builtin local hook IFS=$' \t\n'
	# shellcheck disable=SC2153 # an eclass sets it
	for hook in ${EBUILD_SUCCESS_HOOKS}; do
		"${hook}"
	done
}

# eqatag [-v] TAG [KEY=VALUE…] [/PATH…]
#
# Adds a machine readable finding to the QA log of the build, as a YAML list item. Repositories'
# install-qa-check.d scripts call it, by this and by the older name.
eqatag() {
	builtin local word text verbose='' __EBD_YAML
	builtin local -a files data
	files=()
	data=()
	if [[ $1 == -v ]]; then
		verbose=1
		shift
	fi
	[[ -n $1 ]] || die "eqatag: the tag is missing"
	text="- tag: $1"$'\n'
	shift
	for word; do
		case ${word} in
			/*)
				files+=( "${word}" )
				[[ -z ${verbose} ]] || __ebd_message QA "${__EBD_COLOR_QA}" "  ${word}"
				;;
			*=*) data+=( "${word}" ) ;;
			*) die "eqatag: neither key=value nor a path: '${word}'" ;;
		esac
	done
	if (( ${#data[@]} )); then
		text+=$'  data:\n'
		for word in "${data[@]}"; do
			__ebd_yaml_quote "${word#*=}"
			text+="    ${word%%=*}: \"${__EBD_YAML}\""$'\n'
		done
	fi
	if (( ${#files[@]} )); then
		text+=$'  files:\n'
		for word in "${files[@]}"; do
			__ebd_yaml_quote "${word}"
			text+="    - \"${__EBD_YAML}\""$'\n'
		done
	fi
	builtin printf '%s' "${text}" >> "${T}/qa.log"
}

__eqatag() {
	eqatag "$@"
}

# Sets __EBD_YAML to the text as it stands between double quotes.
__ebd_yaml_quote() {
	__EBD_YAML=${1//\\/\\\\}
	__EBD_YAML=${__EBD_YAML//\"/\\\"}
	__EBD_YAML=${__EBD_YAML//$'\n'/\\n}
}

# __ebd_environment_defaults
#
# Exports what packages find in every Portage build without the specification's word: some build
# systems take XARGS as they find it.
__ebd_environment_defaults() {
	builtin local program
	builtin declare -gx USERLAND="${USERLAND:-GNU}"
	if [[ -z ${XARGS} ]]; then
		program='xargs'
		! builtin type -P gxargs >/dev/null || program='gxargs'
		builtin declare -gx XARGS="${program} -r"
	fi
}
