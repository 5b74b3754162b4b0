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
	__ebd_know_configure
	if builtin declare -F "$2" >/dev/null; then
		"$2"
	else
		__ebd_run_default "$2"
	fi
	__ebd_forget_configure
	builtin local __ebd_left_in=${PWD}
	__ebd_restore_shell
	if [[ $2 == src_prepare && " ${__EBD_EAPI[functions]} " == *" eapply_user "* && ! -e ${T}/.portage_user_patches_applied ]]; then
		die "src_prepare: eapply_user (or default) must be called (PMS 12.3.10)"
	fi
	if builtin declare -F "post_$2" >/dev/null; then
		# It goes on where the phase has ended, as if it were a part of it.
		builtin cd -- "${__ebd_left_in}" 2>/dev/null || :
		"post_$2"
		__ebd_restore_shell
	fi
	builtin unset -v __EBD_PHASE_FUNC
}

__ebd_call_if_defined() {
	if builtin declare -F "$1" >/dev/null; then
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
	builtin local phase
	for phase in unpack prepare configure compile test install; do
		[[ " ${DEFINED_PHASES} " == *" ${phase} "* ]] && builtin return 0
		[[ ${phase} == "$1" ]] && builtin return 1
	done
	builtin return 1
}

# Puts the shell back to what a phase may rely on when it starts, whatever the one before left.
__ebd_restore_shell() {
	builtin enable "${__EBD_BUILTINS[@]}"
	builtin set +abefkmtuvxCEHPT -B -h
	builtin set +o pipefail +o posix
	# What changes how bash works; the first decides on what the globs below find.
	builtin unset -v GLOBIGNORE GLOBSORT POSIXLY_CORRECT BASH_ENV ENV BASH_XTRACEFD CDPATH EXECIGNORE FIGNORE \
		FUNCNEST TIMEFORMAT TMOUT REPLY MAPFILE OPTARG
	IFS=$' \t\n' OPTIND=1 OPTERR=1 BASH_COMPAT=${__EBD_EAPI[bash_version]}
	builtin trap - EXIT ERR DEBUG RETURN INT TERM HUP QUIT USR1 USR2 PIPE ALRM
	__ebd_trap_signals
	builtin local option is changed=''
	for option in "${!__EBD_SHOPTS[@]}"; do
		is=-u
		! builtin shopt -q "${option}" || is=-s
		if [[ ${is} != "${__EBD_SHOPTS[${option}]}" ]]; then
			builtin shopt "${__EBD_SHOPTS[${option}]}" "${option}" 2>/dev/null && changed+=" ${option}"
		fi
	done
	if [[ -n ${changed} ]]; then
		__ebd_qa_notice "shell options changed and were not restored in ${__EBD_PHASE_FUNC:-global scope}:${changed}"
	fi
	builtin umask 022
	__ebd_restore_limits
	# Whatever is left running is killed by the supervisor, which the shell need not report.
	builtin disown -a 2>/dev/null
	builtin cd -- "${PORTAGE_BUILDDIR}/empty" 2>/dev/null || builtin cd / || builtin return
	builtin dirs -c
	builtin unalias -a
	builtin hash -r
	command exec </dev/null >>"${__EBD_LOG}" 2>&1
	__ebd_close_descriptors
}

# __ebd_trap_signals: a helper has failed.
__ebd_trap_signals() {
	builtin trap '__ebd_helper_failed "${BASH_COMMAND}"' PWR
}

# __ebd_remember_limits: notes the resource limits, soft and hard, by the letters of ulimit.
__ebd_remember_limits() {
	builtin local kind line pattern='-(.)\) +([^ ]+)$' IFS=$'\n'
	builtin declare -gA __EBD_LIMITS
	__EBD_LIMITS=()
	for kind in H S; do
		for line in $(builtin ulimit "-${kind}" -a); do
			# The size of pipes can only be asked for.
			if [[ ${line} =~ ${pattern} && ${BASH_REMATCH[1]} != p ]]; then
				__EBD_LIMITS[${kind}${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
			fi
		done
	done
}

# __ebd_restore_limits: a lowered hard limit can be raised again by root only.
__ebd_restore_limits() {
	builtin local letter
	for letter in "${!__EBD_LIMITS[@]}"; do
		[[ ${letter} == H? ]] || builtin continue
		letter=${letter#H}
		builtin ulimit -H "-${letter}" "${__EBD_LIMITS[H${letter}]}" 2>/dev/null
		builtin ulimit -S "-${letter}" "${__EBD_LIMITS[S${letter}]}" 2>/dev/null
	done
}

# Closes every descriptor but the standard ones. Nothing here may be redirected: bash would keep
# the original in a descriptor that is then closed too.
__ebd_close_descriptors() {
	builtin local fd
	for fd in /proc/self/fd/*; do
		fd=${fd##*/}
		if [[ ${fd} -gt 2 && ${fd} -ne 255 ]]; then
			builtin eval "exec ${fd}>&-"
		fi
	done
}

# __ebd_remember_shell: notes the builtins and options that __ebd_restore_shell goes back to. Once
# for each processor; what it asks for is taken whole, as `read` takes a pipe byte by byte.
__ebd_remember_shell() {
	builtin local line IFS=$'\n'
	builtin declare -ga __EBD_BUILTINS
	__EBD_BUILTINS=()
	for line in $(builtin enable); do
		__EBD_BUILTINS+=("${line##* }")
	done
	builtin declare -gA __EBD_SHOPTS
	__EBD_SHOPTS=()
	for line in $(builtin shopt -p); do
		line=${line#shopt }
		# Those that set the compatibility follow BASH_COMPAT.
		[[ ${line} == *" compat"* ]] || __EBD_SHOPTS[${line#* }]=${line% *}
	done
	__ebd_remember_limits
}

# __ebd_must_be_bash FILE: dies if the file, which was sourced, has a syntax error.
__ebd_must_be_bash() {
	( builtin eval "__ebd_whole_file() {"$'\n'"$(<"$1")"$'\n'":"$'\n'"}" ) 2>/dev/null ||
		die "$1: has a syntax error; correct or remove it"
}
