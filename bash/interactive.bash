# shellcheck shell=bash
# The shell of a build for a person: what differs from the one that runs the phases, and the commands
# that are only there.
#
# Loaded behind the rest of the library, whose functions of the same names it replaces.

# __ebd_record_failure: a failure at the prompt is none of the build.
__ebd_record_failure() { :; }

# __ebd_stop: ends what was typed, from any depth, and goes back to the prompt. Without one, ends the
# shell as a build's.
__ebd_stop() {
	if [[ -z ${__EBD_PROMPTS} ]]; then
		if [[ ${BASHPID} == "${__EBD_SHELL_PID}" ]]; then
			builtin trap - EXIT
			builtin exit 1
		fi
		builtin kill -KILL "${__EBD_SHELL_PID}" 2>/dev/null
		builtin kill -KILL "${BASHPID}"
	fi
	if [[ ${BASHPID} != "${__EBD_SHELL_PID}" ]]; then
		# The subshells around this one, which are of its process group, are not to go on.
		builtin kill -s RTMIN+7 "${__EBD_SHELL_PID}"
		builtin trap - TERM
		builtin kill -TERM 0
		builtin kill -KILL "${BASHPID}"
	fi
	# Only an interrupt takes an interactive bash out of functions, loops and traps.
	builtin trap - INT
	builtin kill -INT "${__EBD_SHELL_PID}"
	while :; do :; done
}

# __ebd_restore_shell: what a phase may rely on; of what a person works with nothing is touched.
__ebd_restore_shell() {
	builtin enable "${__EBD_BUILTINS[@]}"
	builtin set +aefkntuvxCEPT -B -h
	builtin set +o pipefail +o posix
	builtin unset -v GLOBIGNORE GLOBSORT POSIXLY_CORRECT BASH_ENV ENV BASH_XTRACEFD CDPATH EXECIGNORE FIGNORE \
		FUNCNEST TIMEFORMAT TMOUT
	IFS=$' \t\n' OPTIND=1 OPTERR=1 BASH_COMPAT=${__EBD_EAPI[bash_version]}
	builtin trap - EXIT ERR DEBUG RETURN INT TERM QUIT USR1 USR2 PIPE ALRM
	__ebd_trap_signals
	builtin local option
	for option in "${!__EBD_SHOPTS[@]}"; do
		builtin shopt "${__EBD_SHOPTS[${option}]}" "${option}" 2>/dev/null
	done
}

# __ebd_trap_signals: a helper has failed, or a subshell has called die.
__ebd_trap_signals() {
	builtin trap '__ebd_helper_failed "${BASH_COMMAND}"' PWR
	[[ -z ${__EBD_PROMPTS} ]] || builtin trap '__ebd_stop' RTMIN+7
}

builtin eval "__ebd_$(builtin declare -f inherit)"

# inherit ECLASS…: as in an ebuild, where it was typed at the prompt.
inherit() {
	# Called by a phase function it is as wrong as ever.
	[[ ${#FUNCNAME[@]} -gt 1 && ${FUNCNAME[1]} != main ]] || builtin local __EBD_PHASE_FUNC=''
	builtin declare -gA __EBD_ECLASS_VALUES __EBD_BEFORE_INHERIT
	# What inherit puts aside would be lost if it came to no end.
	builtin local __ebd_name
	__EBD_BEFORE_INHERIT=()
	for __ebd_name in ${__EBD_EAPI[accumulated_variables]}; do
		[[ ! -v ${__ebd_name} ]] || __EBD_BEFORE_INHERIT[${__ebd_name}]=${!__ebd_name}
	done
	__ebd_inherit "$@"
	builtin unset -v __EBD_BEFORE_INHERIT
}

# __ebd_ask WHAT ARGUMENT: asks the supervisor, and does what it answers. The answer is a file of its
# own, so that whoever asks at the same time, or is interrupted before it comes, has no other's.
__ebd_ask() {
	# What the user traces is his own.
	{
		builtin local -
		builtin set +x +u +e
	} 2>/dev/null
	builtin local __ebd_answer IFS=$' \t\n'
	__EBD_ASKED=$((__EBD_ASKED + 1))
	__ebd_answer=${BASHPID}-${__EBD_ASKED}
	__ebd_notify ask "${__ebd_answer}" "$1" "$2" || builtin return 1
	__ebd_answer=${__EBD_BUILD}/answer.${__ebd_answer}
	until [[ -e ${__ebd_answer} ]]; do
		# Nothing ever comes there: it is a way to wait without a program.
		builtin read -r -t 0.002 <>"${__EBD_BUILD}/down"
	done
	# shellcheck disable=SC1090
	builtin source "${__ebd_answer}"
}

# __ebd_go FOLDER…: to the first of the folders that is there.
__ebd_go() {
	builtin local folder
	for folder in "$@" /; do
		[[ -z ${folder} ]] || ! builtin cd -- "${folder}" 2>/dev/null || builtin return 0
	done
}

# __ebd_only_here COMMAND: whether this is the shell itself. In a subshell, as each part of a pipe is,
# what a command sets would be lost, and the build not know of it.
__ebd_only_here() {
	[[ ${BASHPID} != "${__EBD_SHELL_PID}" ]] || builtin return 0
	builtin printf '%s: cannot be part of a pipe or a subshell, where what it sets would be lost\n' "$1" >&2
	builtin return 1
}

# phase NAME
phase() {
	__ebd_only_here phase || builtin return
	if [[ $# -ne 1 ]]; then
		builtin printf 'phase: takes the name of a phase, such as compile; phases lists them\n' >&2
		builtin return 2
	fi
	builtin local __ebd_before=${PWD} __ebd_status __ebd_options
	__ebd_options=$(builtin shopt -p)
	[[ -z ${__EBD_AT_FAILURE} && ! -e ${__EBD_BUILD}/user.rc ]] ||
		( __ebd_write_environment "${__EBD_BUILD}/environment.now" ) || builtin return 1
	__ebd_ask phase "$1"
	__ebd_status=$?
	builtin eval "${__ebd_options}"
	# Where one was, if that is still there; a phase that dies leaves one where it did.
	__ebd_go "${__ebd_before}" "${S}" "${WORKDIR}"
	builtin return "${__ebd_status}"
}

# phases
phases() {
	__ebd_ask phases ''
}

# reload
reload() {
	__ebd_only_here reload || builtin return
	__ebd_ask reload ''
}

# diff-env
diff-env() {
	( __ebd_write_environment "${__EBD_BUILD}/environment.now" ) && __ebd_ask diff-env ''
}

# image
image() {
	__ebd_ask image ''
}

# resume [--keep | --done | --anew]
resume() {
	__ebd_only_here resume || builtin return
	case $*:$# in
		:0 | --anew:1) ;;
		--keep:1 | --done:1)
			( __ebd_write_environment "${__EBD_BUILD}/environment.now" ) || builtin return 1
			;;
		*)
			builtin printf 'resume: takes nothing, or one of --keep, --done and --anew; help tells more\n' >&2
			builtin return 2
			;;
	esac
	__ebd_ask resume "$1"
}

# help [TOPIC…]
help() {
	case ${1:-phase} in
		phase | phases | reload | diff-env | image | resume) __ebd_ask help '' ;;
		*) builtin help "$@" ;;
	esac
}

# suspend: there is no shell that could bring this one back.
suspend() {
	builtin printf 'suspend: this shell cannot be suspended; exit leaves it\n' >&2
	builtin return 1
}

# __ebd_fresh BASH SCRIPT: sources an ebuild for itself, in a new shell.
__ebd_fresh() {
	builtin command -- "$1" --noprofile --norc "$2" </dev/null
}

# __ebd_prompt: what is done before each prompt.
__ebd_prompt() {
	{
		builtin local -
		builtin set +x +u +e
	} 2>/dev/null
	if [[ -z ${__EBD_ENTERED_BUILD} ]]; then
		builtin printf ' * The ebuild could not be loaded; what comes behind that place is missing here.\n' >&2
		builtin unset -v __EBD_GLOBAL_SCOPE
		builtin shopt -u failglob extglob
		__ebd_enter_build
	fi
	__ebd_ask prompt ''
	builtin history -a
	builtin local where=${PWD} use='' flag bold='' plain='' IFS=$' \t\n'
	for flag in "${!__EBD_BEFORE_INHERIT[@]}"; do
		builtin printf -v "${flag}" %s "${__EBD_BEFORE_INHERIT[${flag}]}"
	done
	builtin unset -v __EBD_BEFORE_INHERIT
	where=${where/#"${PORTAGE_BUILDDIR}/"/}
	for flag in ${IUSE}; do
		flag=${flag#[+-]}
		[[ " ${USE} " == *" ${flag} "* ]] || flag=-${flag}
		[[ " ${use} " == *" ${flag} "* ]] || use+="${use:+ }${flag}"
	done
	[[ ${#use} -le 40 ]] || use="${use:0:39}…"
	if [[ -n ${__EBD_COLOR} ]]; then
		bold=$'\001\e[1m\002' plain=$'\001\e[0m\002'
	fi
	__EBD_PROMPT_TEXT="${bold}${CATEGORY:+${CATEGORY}/${PF} }${plain}${__EBD_PHASE_FUNC:+${__EBD_PHASE_FUNC} }${use:+[${use}] }${where}"
	# Nothing in a name is to be expanded.
	PS1='${__EBD_PROMPT_TEXT} \$ '
}

# __ebd_complete_eclass: the eclasses whose names begin so.
__ebd_complete_eclass() {
	builtin local dir file
	COMPREPLY=()
	for dir in "${__EBD_ECLASS_DIRS[@]}"; do
		for file in "${dir}/$2"*.eclass; do
			file=${file##*/}
			[[ ! -e ${dir}/${file} ]] || COMPREPLY+=("${file%.eclass}")
		done
	done
}

# __ebd_make_comfortable: prompt, history and completion.
__ebd_make_comfortable() {
	builtin local IFS=$' \t\n'
	PROMPT_COMMAND=__ebd_prompt
	PS1='\$ '
	HISTFILE=${__EBD_BUILD}/history HISTSIZE=2000 HISTFILESIZE=2000 HISTCONTROL=ignoreboth
	builtin shopt -s histappend checkwinsize cmdhist
	builtin complete -W "${__EBD_PHASES} ${__EBD_EAPI[phases]}" phase
	builtin complete -W "--keep --done --anew" resume
	builtin complete -W "" phases reload diff-env image
	# Expanded when it is wanted.
	# shellcheck disable=SC2016
	builtin complete -W '${__EBD_IUSE_EFFECTIVE}' use usev usex in_iuse use_enable use_with
	builtin complete -F __ebd_complete_eclass inherit
}

# __ebd_enter_build: once what there is is loaded: the phase, its functions, its folder.
__ebd_enter_build() {
	builtin local phase
	__EBD_ENTERED_BUILD=1
	# shellcheck disable=SC1091
	builtin source "${__EBD_BUILD}/phase.env"
	__ebd_sandbox_announce
	__EBD_PHASE_FUNC=${__EBD_ENTERED_PHASE}
	# What the ebuild leaves to its EAPI can be called by name too.
	builtin declare -gA __EBD_STUBS
	__EBD_STUBS=()
	for phase in ${__EBD_EAPI[phases]}; do
		if [[ ${phase} == src_* ]] && ! builtin declare -F "${phase}" >/dev/null; then
			builtin eval "${phase}() { __ebd_run_default ${phase}; }"
			__EBD_STUBS[${phase}]=$(builtin declare -f "${phase}")
		fi
	done
	case ${__EBD_PHASE_FUNC} in
		pkg_*) __ebd_go "${PORTAGE_BUILDDIR}/empty" ;;
		src_unpack) __ebd_go "${WORKDIR}" ;;
		*) __ebd_go "${S}" "${WORKDIR}" ;;
	esac
	# shellcheck disable=SC1091
	builtin source "${__EBD_BUILD}/enter.bash"
}
