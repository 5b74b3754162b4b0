# shellcheck shell=bash
# The shell of a build for a person is loaded.

__ebd_enter_build
if [[ -e ${__EBD_BUILD}/user.rc ]]; then
	( __ebd_write_environment "${__EBD_BUILD}/environment.plain" )
	# shellcheck disable=SC1091
	builtin source "${__EBD_BUILD}/user.rc"
	if [[ -n ${__EBD_PROMPTS} && ${PROMPT_COMMAND} != __ebd_prompt ]]; then
		PROMPT_COMMAND=(__ebd_prompt "${PROMPT_COMMAND[@]}")
	fi
	( __ebd_write_environment "${__EBD_BUILD}/environment.user" )
fi
