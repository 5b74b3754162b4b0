# shellcheck shell=bash
# The shell of a build for a person begins.

umask 022
shopt -u patsub_replacement globskipdots 2>/dev/null
unset -v BASH_ENV COLUMNS LINES
unalias -a
# What the caller of ebd has open is nothing for a build.
__ebd_close_descriptors
__EBD_SHELL_PID=${BASHPID}
builtin export __EBD_BUILD __EBD_SHELL_PID
__EBD_PROMPTS=
[[ $- != *i* ]] || __EBD_PROMPTS=1
__ebd_remember_shell
__EBD_ENTERED_BUILD=
[[ -z ${__EBD_PROMPTS} ]] || __ebd_make_comfortable
