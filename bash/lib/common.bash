# shellcheck shell=bash
# What the other files of the library share.
#
# Everything here runs in the same shell as ebuilds do, so it takes nothing for granted: builtins
# are called through `builtin`, as an ebuild may have a function of that name; IFS is set where
# words are split or joined; patterns that must respect case avoid `[[ == ]]` and `case`, which
# nocasematch changes, for parameter expansion, which it does not.

# __ebd_scope COMMAND [PHASE_FUNCTION…]
#
# Aborts when the calling command is used in global scope or, when phase functions are named,
# outside all of them. Without names every phase is good.
__ebd_scope() {
	builtin local command="$1" phase
	if [[ -n ${__EBD_GLOBAL_SCOPE} ]]; then
		die "${command}: not allowed in global scope"
	fi
	shift
	(( $# )) || return 0
	for phase; do
		[[ ${phase} == "${__EBD_PHASE_FUNC}" ]] && return 0
	done
	die "${command}: not allowed in ${__EBD_PHASE_FUNC:-this phase}"
}

# __ebd_contains_word WORD LIST
#
# True if the whitespace separated LIST holds WORD.
__ebd_contains_word() {
	[[ -n $1 && " ${2//[$'\t\n']/ } " == *" $1 "* ]]
}

# __ebd_say TEXT
#
# A progress line of the package manager itself, on standard error; silent when __EBD_QUIET is set.
__ebd_say() {
	[[ -n ${__EBD_QUIET} ]] || builtin printf '%s\n' "$1" >&2
}

# __ebd_glob ARRAY PREFIX
#
# Puts the existing paths PREFIX* into ARRAY, sorted as the POSIX locale sorts, whatever globbing
# options, locale and IFS the ebuild has set. No match leaves the array empty.
__ebd_glob() {
	builtin local -
	builtin local -n __ebd_glob_result="$1"
	builtin local __ebd_glob_option __ebd_glob_nullglob=
	builtin local -a __ebd_glob_options
	# GLOBSORT came with bash 5.3 and would change the order.
	# shellcheck disable=SC2034
	builtin local LC_ALL=C GLOBSORT=name
	builtin set +f
	__ebd_glob_options=()
	for __ebd_glob_option in dotglob failglob nocaseglob; do
		if builtin shopt -q "${__ebd_glob_option}"; then
			__ebd_glob_options+=( "${__ebd_glob_option}" )
			builtin shopt -u "${__ebd_glob_option}"
		fi
	done
	if builtin shopt -q nullglob; then
		__ebd_glob_nullglob=1
	else
		builtin shopt -s nullglob
	fi
	__ebd_glob_result=( "$2"* )
	[[ -n ${__ebd_glob_nullglob} ]] || builtin shopt -u nullglob
	if (( ${#__ebd_glob_options[@]} )); then
		builtin shopt -s "${__ebd_glob_options[@]}"
	fi
}

# __ebd_squeeze_slashes PATH
#
# Sets __EBD_PATH to PATH with every run of slashes made one.
__ebd_squeeze_slashes() {
	__EBD_PATH=$1
	while [[ ${__EBD_PATH} == *//* ]]; do
		__EBD_PATH=${__EBD_PATH//\/\//\/}
	done
}

# __ebd_libdir
#
# Sets __EBD_LIBDIR to the value of LIBDIR_${ABI}, empty if there is none.
__ebd_libdir() {
	__EBD_LIBDIR=
	if [[ -n ${ABI} ]]; then
		builtin local name="LIBDIR_${ABI}"
		__EBD_LIBDIR=${!name}
	fi
}

# __ebd_image_root
#
# Sets __EBD_IMAGE to the staging directory, with the offset prefix where the EAPI knows of one,
# and without a slash at its end.
__ebd_image_root() {
	if [[ -n ${__EBD_EAPI[prefix]} ]]; then
		__EBD_IMAGE=${ED%/}
	else
		__EBD_IMAGE=${D%/}
	fi
}

# __ebd_makeopts_jobs
#
# Sets __EBD_JOBS to the number of jobs MAKEOPTS asks for, empty if it asks for none.
__ebd_makeopts_jobs() {
	builtin local -
	builtin set -f
	builtin local IFS=$' \t\n' word expect=
	__EBD_JOBS=
	for word in ${MAKEOPTS}; do
		if [[ -n ${expect} ]]; then
			expect=
			[[ ${word} == *[!0123456789]* ]] || __EBD_JOBS=$(( 10#${word} ))
		fi
		case ${word} in
			--jobs=*) word=${word#--jobs=} ;;
			--jobs|-j) expect=1; continue ;;
			--*) continue ;;
			-*j) expect=1; continue ;;
			-*j*) word=${word##*j} ;;
			*) continue ;;
		esac
		[[ -z ${word} || ${word} == *[!0123456789]* ]] || __EBD_JOBS=$(( 10#${word} ))
	done
}
