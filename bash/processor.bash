# shellcheck shell=bash
# The long-lived processor: reads counted jobs from its standard input and runs each in a fork.
#
# This text is evaluated at top level, behind the library: a job that sources an ebuild or a saved
# environment must not run inside a function, where `declare` makes variables local.

unalias -a
unset BASH_ENV ENV GLIBC_TUNABLES
umask 022
# Both default to on since bash 5.2, BASH_COMPAT does not govern them, and no EAPI before 9 has them.
shopt -u patsub_replacement globskipdots 2>/dev/null
shopt -u checkwinsize
__ebd_remember_shell

__ebd_close_descriptors
exec {__EBD_COMMANDS}<&0 {__EBD_REPLIES}>&1 </dev/null >&2

builtin printf '%s\0' ready "$$" "${BASH_VERSINFO[0]}.${BASH_VERSINFO[1]}" >&"${__EBD_REPLIES}"

while LC_ALL=C IFS= builtin read -r -N 10 -u "${__EBD_COMMANDS}" __EBD_LENGTH &&
	LC_ALL=C IFS= builtin read -r -N "$((10#${__EBD_LENGTH}))" -u "${__EBD_COMMANDS}" __EBD_JOB; do
	# What every fork is to find is evaluated here; all else in a fork.
	if [[ ${__EBD_JOB} == '#resident'* ]]; then
		eval "${__EBD_JOB}"
		builtin printf '%s\0' exited "$?" >&"${__EBD_REPLIES}"
		continue
	fi
	(
		exec {__EBD_COMMANDS}<&- {__EBD_REPLIES}>&-
		unset __EBD_COMMANDS __EBD_REPLIES __EBD_LENGTH
		eval "${__EBD_JOB}"
	)
	builtin printf '%s\0' exited "$?" >&"${__EBD_REPLIES}"
done
