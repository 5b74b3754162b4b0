# shellcheck shell=bash
# econf and einstall (PMS, build commands).

# __ebd_econf_fail MESSAGE
#
# econf aborts in every EAPI, except under nonfatal.
__ebd_econf_fail() {
	[[ -n ${__EBD_EAPI[helpers_die]} ]] || die "$1"
	__ebd_helper_fail "$1"
}

# __ebd_econf_help_has OPTION
#
# True if the help text in __EBD_HELP holds OPTION. Names of switches must end there.
__ebd_econf_help_has() {
	case $1 in
		--with-*|--enable-*|--disable-*) [[ ${__EBD_HELP} == *"$1"[!A-Za-z0-9+_.-]* ]] ;;
		*) [[ ${__EBD_HELP} == *"$1"* ]] ;;
	esac
}

# __ebd_econf_first PATTERN ARGUMENT…
#
# Sets __EBD_VALUE to what follows PATTERN (an option with its `=`) in the first argument that
# starts with it; false if none does.
__ebd_econf_first() {
	builtin local option="$1" argument
	shift
	for argument; do
		if [[ ${argument} == "${option}"* ]]; then
			__EBD_VALUE=${argument#"${option}"}
			return 0
		fi
	done
	return 1
}

# Makes a configure script that asks for /bin/sh start with CONFIG_SHELL, its time unchanged.
__ebd_econf_shell() {
	builtin local script="$1/configure" line copy="$1/configure.__ebd.${BASHPID}"
	builtin local pattern=$'^#![ \t]*/bin/sh([[:space:]]|$)'
	IFS='' builtin read -r line < "${script}"
	[[ ${line} =~ ${pattern} ]] || return 0
	{
		builtin command cp -p -- "${script}" "${copy}" \
			&& builtin command sed -i -e "1s:^#![[:space:]]*/bin/sh:#!${CONFIG_SHELL}:" -- "${copy}" \
			&& builtin command touch -r "${script}" -- "${copy}" \
			&& builtin command mv -f -- "${copy}" "${script}"
	} || {
		builtin command rm -f -- "${copy}"
		__ebd_econf_fail "econf: cannot make ${script} run with ${CONFIG_SHELL}"
		return 1
	}
}

# Replaces config.guess and config.sub anywhere in WORKDIR by those of gnuconfig, if it is there.
# Every file changes at once, as several configure scripts may be running.
__ebd_econf_gnuconfig() {
	builtin local source="$1/usr/share/gnuconfig" file
	builtin local -a files
	[[ -e ${source} ]] || return 0
	files=()
	builtin mapfile -d '' -t files < <(
		builtin command find "${WORKDIR}" -type f '(' -name config.guess -o -name config.sub ')' -print0
	)
	for file in "${files[@]}"; do
		__ebd_say " * econf: updating ${file#"${WORKDIR}/"} with ${source}/${file##*/}"
		if ! builtin command cp -f -- "${source}/${file##*/}" "${file}.${BASHPID}" \
			|| ! builtin command mv -f -- "${file}.${BASHPID}" "${file}"
		then
			__ebd_econf_fail "econf: cannot update ${file} from ${source}"
			return 1
		fi
	done
}

# econf [ARGUMENT…]
#
# The order of the arguments is the one Portage uses: programs record it in what they install.
econf() {
	builtin local -
	builtin local IFS=$' \t\n' prefix="${EPREFIX}" phase=src_configure
	builtin local __EBD_HELP __EBD_VALUE __EBD_LIBDIR __EBD_PATH
	builtin local -a options extra confcache
	builtin set +f
	[[ -n ${__EBD_EAPI[prefix]} ]] || prefix=
	[[ ${__EBD_EAPI[src_configure]} != absent ]] || phase=src_compile

	__ebd_scope econf src_unpack src_prepare src_configure src_compile src_test src_install
	if [[ ${__EBD_PHASE_FUNC} != "${phase}" ]]; then
		__ebd_qa_notice "econf called in ${__EBD_PHASE_FUNC} instead of ${phase}"
	fi

	: "${ECONF_SOURCE:=.}"
	if [[ ! -f ${ECONF_SOURCE}/configure ]]; then
		__ebd_econf_fail "econf: no configure script in ${ECONF_SOURCE}"
		return 1
	elif [[ ! -x ${ECONF_SOURCE}/configure ]]; then
		__ebd_econf_fail "econf: ${ECONF_SOURCE}/configure is not executable"
		return 1
	fi

	[[ -z ${CONFIG_SHELL} ]] || __ebd_econf_shell "${ECONF_SOURCE}" || return 1
	__ebd_econf_gnuconfig "${prefix}" || return 1

	options=(
		--prefix="${prefix}/usr"
		${CBUILD:+"--build=${CBUILD}"}
		--host="${CHOST}"
		${CTARGET:+"--target=${CTARGET}"}
		--mandir="${prefix}/usr/share/man"
		--infodir="${prefix}/usr/share/info"
		--datadir="${prefix}/usr/share"
		--sysconfdir="${prefix}/etc"
		--localstatedir="${prefix}/var/lib"
	)

	if [[ -n ${__EBD_EAPI[econf_disable_dependency_tracking]} ]]; then
		__EBD_HELP=$(builtin command "${ECONF_SOURCE}/configure" --help 2>/dev/null)
		# A switch at the very end has nothing behind it.
		__EBD_HELP+=$'\n'
		if [[ -n ${__EBD_EAPI[econf_datarootdir]} ]] && __ebd_econf_help_has --datarootdir; then
			options+=( --datarootdir="${prefix}/usr/share" )
		fi
		if __ebd_econf_help_has --disable-dependency-tracking; then
			options+=( --disable-dependency-tracking )
		fi
		if [[ -n ${__EBD_EAPI[econf_disable_silent_rules]} ]] \
			&& __ebd_econf_help_has --disable-silent-rules
		then
			options+=( --disable-silent-rules )
		fi
		if [[ -n ${__EBD_EAPI[econf_disable_static]} ]] && __ebd_econf_help_has --enable-shared \
			&& __ebd_econf_help_has --enable-static
		then
			options+=( --disable-static )
		fi
		if [[ -n ${__EBD_EAPI[econf_docdir]} ]]; then
			! __ebd_econf_help_has --docdir \
				|| options+=( --docdir="${prefix}/usr/share/doc/${PF}" )
			! __ebd_econf_help_has --htmldir \
				|| options+=( --htmldir="${prefix}/usr/share/doc/${PF}/html" )
		fi
		if [[ -n ${__EBD_EAPI[econf_sysroot]} ]] && __ebd_econf_help_has --with-sysroot; then
			options+=( --with-sysroot="${ESYSROOT:-/}" )
		fi
	fi

	__ebd_libdir
	if [[ -n ${__EBD_LIBDIR} ]] && ! __ebd_econf_first --libdir= "$@"; then
		__EBD_VALUE=
		__ebd_econf_first --exec-prefix= "$@" || __ebd_econf_first --prefix= "$@" \
			|| __EBD_VALUE=${prefix}/usr
		[[ ${__EBD_VALUE} == /* ]] || __EBD_VALUE=/${__EBD_VALUE}
		# Visible to the package's own scripts, as it is under Portage.
		# shellcheck disable=SC2034
		builtin declare -gx CONF_PREFIX="${__EBD_VALUE}"
		__ebd_squeeze_slashes "${__EBD_VALUE}/${__EBD_LIBDIR}"
		options+=( --libdir="${__EBD_PATH}" )
	fi

	# EXTRA_ECONF is the user's and may quote its words.
	builtin eval "extra=( ${EXTRA_ECONF} )"
	builtin set -- "${options[@]}" "$@" "${extra[@]}"
	__ebd_say "${ECONF_SOURCE}/configure $*"
	# The program that puts back what is known of such a run.
	builtin eval "confcache=( ${__EBD_CONFCACHE} )"
	if ! "${confcache[@]}" "${ECONF_SOURCE}/configure" "$@"; then
		if [[ -s config.log ]]; then
			builtin printf '\n!!! Please attach the following file when seeking support:\n!!! %s\n' \
				"${PWD}/config.log" >&2
		fi
		__ebd_econf_fail "econf failed"
		return 1
	fi
}

# __ebd_know_configure: has configure scripts that an ebuild calls by their usual paths run as econf runs them, where
# the confcache is wanted. A function of such a name is what bash calls.
__ebd_know_configure() {
	builtin local path plain='^[A-Za-z0-9_./+-]+$'
	[[ -n ${__EBD_CONFCACHE} ]] || builtin return 0
	__EBD_CONFIGURES=()
	for path in ./configure ../configure "${ECONF_SOURCE}/configure" "${S}/configure"; do
		if [[ ${path} =~ ${plain} ]] && ! builtin declare -F "${path}" >/dev/null; then
			builtin eval "function ${path} { __ebd_configure '${path}' \"\$@\"; }"
			__EBD_CONFIGURES+=( "${path}" )
		fi
	done
}

__ebd_forget_configure() {
	[[ -z ${__EBD_CONFIGURES[*]} ]] || builtin unset -f -- "${__EBD_CONFIGURES[@]}"
	builtin unset -v __EBD_CONFIGURES
}

# __ebd_configure SCRIPT [ARGUMENT…]
__ebd_configure() {
	builtin local -a __ebd_confcache
	__ebd_confcache=()
	if [[ -f $1 && -x $1 ]]; then
		builtin eval "__ebd_confcache=( ${__EBD_CONFCACHE} )"
	fi
	builtin command "${__ebd_confcache[@]}" "$@"
}

# einstall [ARGUMENT…]
einstall() {
	builtin local __EBD_IMAGE __EBD_LIBDIR
	__ebd_scope einstall src_install
	__ebd_image_root
	__ebd_libdir
	emake \
		prefix="${__EBD_IMAGE}/usr" \
		datadir="${__EBD_IMAGE}/usr/share" \
		mandir="${__EBD_IMAGE}/usr/share/man" \
		infodir="${__EBD_IMAGE}/usr/share/info" \
		libdir="${__EBD_IMAGE}/usr/${__EBD_LIBDIR:-lib}" \
		localstatedir="${__EBD_IMAGE}/var/lib" \
		sysconfdir="${__EBD_IMAGE}/etc" \
		-j1 \
		"$@" \
		install
}
