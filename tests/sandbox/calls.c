// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Does one thing that a confined program might try, by a raw system call, and tells how it went:
//
//   calls NAME ARGUMENTS...
//
// prints "NAME: ok" and ends with 0, or "NAME: EACCES" (the name of errno) and ends with 1. If what
// has to be there first is not, it says so and ends with 2. Some names are followed by another name
// with its arguments, which is then done in some way, e.g. from a thread:
//
//   calls thread int80 open wronly,creat /path
//
// A directory argument may be "-" for the working directory and "fd:N" for descriptor N. A path that
// begins with "/proc/PID/" means the process's own.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

// Calls that a machine does not have give ENOSYS, which the tests tell apart from a refusal.
#define NONE (-1)
#ifndef SYS_open
#define SYS_open NONE
#define SYS_creat NONE
#define SYS_unlink NONE
#define SYS_rmdir NONE
#define SYS_rename NONE
#define SYS_mkdir NONE
#define SYS_link NONE
#define SYS_symlink NONE
#define SYS_chmod NONE
#define SYS_chown NONE
#define SYS_lchown NONE
#define SYS_mknod NONE
#define SYS_utime NONE
#define SYS_utimes NONE
#define SYS_futimesat NONE
#endif
#ifndef SYS_renameat
#define SYS_renameat NONE
#endif
// Numbers that are the same everywhere but newer than some headers.
#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#define SYS_fsopen 430
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_removexattrat 466
#endif
#ifndef SYS_file_setattr
#define SYS_file_setattr 469
#endif

/* What is told. */

// The name of an error number.
static const char *error_name(int number)
{
	static char other[16];
	switch (number) {
#define NAMED(error) case error: return #error;
	NAMED(EPERM) NAMED(ENOENT) NAMED(ESRCH) NAMED(EINTR) NAMED(EIO) NAMED(ENXIO) NAMED(E2BIG)
	NAMED(EBADF) NAMED(ECHILD) NAMED(EAGAIN) NAMED(ENOMEM) NAMED(EACCES) NAMED(EFAULT)
	NAMED(EBUSY) NAMED(EEXIST) NAMED(EXDEV) NAMED(ENODEV) NAMED(ENOTDIR) NAMED(EISDIR)
	NAMED(EINVAL) NAMED(ENFILE) NAMED(EMFILE) NAMED(ENOTTY) NAMED(ETXTBSY) NAMED(EFBIG)
	NAMED(ENOSPC) NAMED(ESPIPE) NAMED(EROFS) NAMED(EMLINK) NAMED(EPIPE) NAMED(ERANGE)
	NAMED(EDEADLK) NAMED(ENAMETOOLONG) NAMED(ENOSYS) NAMED(ENOTEMPTY) NAMED(ELOOP)
	NAMED(ENODATA) NAMED(EOVERFLOW) NAMED(EOPNOTSUPP) NAMED(EADDRINUSE) NAMED(EADDRNOTAVAIL)
	NAMED(ENETDOWN) NAMED(ENETUNREACH) NAMED(ECONNRESET) NAMED(ETIMEDOUT) NAMED(ECONNREFUSED)
	NAMED(EHOSTUNREACH) NAMED(ESTALE) NAMED(EAFNOSUPPORT) NAMED(EPROTONOSUPPORT)
#undef NAMED
	}
	snprintf(other, sizeof other, "errno %d", number);
	return other;
}

// Prints one line at once: a buffer would be printed twice after a fork.
static void say(const char *format, ...)
{
	char line[9000];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (length > (int)sizeof line - 1)
		length = sizeof line - 1;
	if (write(1, line, length) < 0)
		_exit(3);
}

// The name that is being done.
static _Thread_local const char *doing = "calls";

// Gives the result of what has to succeed before anything can be tried.
static long need(long result, const char *what)
{
	if (result < 0) {
		say("%s: cannot prepare: %s: %s\n", doing, what, error_name(errno));
		_exit(2);
	}
	return result;
}

static void *need_memory(void *memory)
{
	need(memory == MAP_FAILED ? -1 : 0, "mmap");
	return memory;
}

/* Arguments of system calls. */

// Whether calls are made as those of a 32-bit program.
static bool compat;
// Whether each argument ends where mapped memory does.
static bool at_edge;
static char *arena;
static size_t arena_used;
#define ARENA_SIZE (4 << 20)
// Whether the arguments are in their places already, where a thread changes them.
static bool arena_filled;

// The digits behind "/race" in kept strings: what `race-path` changes.
static volatile char *racing[8];
static volatile int racing_count;

// Copies an argument to where the kernel can take it from, also with addresses of 32 bits.
static void *keep(const void *data, size_t size)
{
	int low = 0;
#ifdef MAP_32BIT
	low = compat ? MAP_32BIT : 0;
#endif
	if (at_edge) {
		size_t page = sysconf(_SC_PAGESIZE);
		size_t pages = (size + page - 1) / page;
		char *place = need_memory(mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | low, -1, 0));
		need(munmap(place + pages * page, page), "munmap");
		return memcpy(place + pages * page - size, data, size);
	}
	if (!arena)
		arena = need_memory(mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | low, -1, 0));
	need(arena_used + size > ARENA_SIZE ? -1 : 0, "arena");
	void *place = arena + arena_used;
	if (!arena_filled)
		memcpy(place, data, size);
	arena_used += (size + 15) & ~(size_t)15;
	return place;
}

// Remembers where `race-path` can change a kept string.
static void race_within(char *string)
{
	char *digit = strstr(string, "/race0");
	if (!digit || racing_count == 8)
		return;
	racing[racing_count] = digit + strlen("/race");
	racing_count++;
}

// A string as an argument. While a race is on, its place is the same each time.
static char *text(const char *string)
{
	char own[64];
	static const char prefix[] = "/proc/PID/";
	char *place;
	if (!strncmp(string, prefix, sizeof prefix - 1)) {
		int length = snprintf(own, sizeof own, "/proc/%d/", getpid());
		size_t rest = strlen(string + sizeof prefix - 1) + 1;
		char joined[length + rest];
		memcpy(joined, own, length);
		memcpy(joined + length, string + sizeof prefix - 1, rest);
		place = keep(joined, length + rest);
	} else {
		place = keep(string, strlen(string) + 1);
	}
	if (!arena_filled)
		race_within(place);
	return place;
}

// Words as the kernel's `long`s, or as those of a 32-bit program.
static void *longs(int count, const long *values)
{
	int32_t small[8];
	if (!compat)
		return keep(values, count * sizeof *values);
	for (int i = 0; i < count; i++)
		small[i] = values[i];
	return keep(small, count * sizeof *small);
}

static long invoke(long native, long other, const long a[6])
{
	if (!compat)
		return syscall(native, a[0], a[1], a[2], a[3], a[4], a[5]);
#ifdef __x86_64__
	if (other != NONE) {
		long result;
		register long six __asm__("r12") = a[5];
		__asm__ volatile("xchg %%rbp, %%r12\n\tint $0x80\n\txchg %%rbp, %%r12"
			: "=a"(result), "+r"(six)
			: "0"(other), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
			: "memory", "cc", "r8", "r9", "r10", "r11");
		if ((int)result < 0 && (int)result > -4096) {
			errno = -(int)result;
			return -1;
		}
		return (int)result;
	}
#endif
	errno = ENOSYS;
	return -1;
}

// Makes a call, of which the second number is that of i386.
#define CALL(name, other, ...) invoke(SYS_##name, other, (const long[6]){__VA_ARGS__})
#define P(pointer) ((long)(pointer))

struct word { const char *name; long value; };

// The sum of words that are separated by commas.
static long words(const char *list, const struct word *known)
{
	char copy[200];
	long sum = 0;
	snprintf(copy, sizeof copy, "%s", list);
	for (char *word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
		const struct word *at = known;
		while (at->name && strcmp(at->name, word))
			at++;
		errno = EINVAL;
		need(at->name ? 0 : -1, word);
		sum |= at->value;
	}
	return sum;
}

static long open_flags(const char *list)
{
	static const struct word known[] = {
		{"rdonly", O_RDONLY}, {"wronly", O_WRONLY}, {"rdwr", O_RDWR}, {"creat", O_CREAT},
		{"excl", O_EXCL}, {"trunc", O_TRUNC}, {"append", O_APPEND}, {"tmpfile", O_TMPFILE},
		{"nofollow", O_NOFOLLOW}, {"directory", O_DIRECTORY}, {"path", O_PATH},
		{"cloexec", O_CLOEXEC}, {"nonblock", O_NONBLOCK}, {NULL, 0}};
	return words(list, known);
}

static long at_flags(const char *list)
{
	static const struct word known[] = {
		{"none", 0}, {"follow", AT_SYMLINK_FOLLOW}, {"nofollow", AT_SYMLINK_NOFOLLOW},
		{"empty", AT_EMPTY_PATH}, {"removedir", AT_REMOVEDIR}, {NULL, 0}};
	return words(list, known);
}

static long rename_flags(const char *list)
{
	static const struct word known[] = {
		{"none", 0}, {"noreplace", 1}, {"exchange", 2}, {"whiteout", 4}, {NULL, 0}};
	return words(list, known);
}

static long resolve_flags(const char *list)
{
	static const struct word known[] = {
		{"none", 0}, {"no-xdev", 1}, {"no-magiclinks", 2}, {"no-symlinks", 4}, {"beneath", 8},
		{"in-root", 16}, {"cached", 32}, {NULL, 0}};
	return words(list, known);
}

static long kind(const char *name)
{
	static const struct word known[] = {
		{"fifo", S_IFIFO}, {"socket", S_IFSOCK}, {"file", S_IFREG}, {"device", S_IFCHR}, {NULL, 0}};
	return words(name, known) | 0644;
}

// The number in "fd:N".
static int given(const char *argument)
{
	return strncmp(argument, "fd:", 3) ? -1 : atoi(argument + 3);
}

// A descriptor of a directory, which may be none.
static int folder(const char *path)
{
	if (!strcmp(path, "-"))
		return AT_FDCWD;
	if (given(path) >= 0)
		return given(path);
	return need(openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
}

// A descriptor of a file that allows no writing.
static int readable(const char *path)
{
	if (given(path) >= 0)
		return given(path);
	return need(openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), path);
}

// Closes what `folder` or `readable` opened for this argument, keeping errno.
static void release(const char *argument, int descriptor)
{
	int before = errno;
	if (strcmp(argument, "-") && given(argument) < 0)
		close(descriptor);
	errno = before;
}

// Writes to what was opened, if that is possible, and closes it.
static long use(long descriptor, long flags)
{
	static const char changed[] = "changed\n";
	long result = descriptor;
	if (descriptor < 0)
		return descriptor;
	if ((flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
		result = write(descriptor, changed, sizeof changed - 1);
	int before = errno;
	close(descriptor);
	errno = before;
	return result;
}

/* Opening. */

static long do_open(char **a)
{
	long flags = open_flags(a[0]);
	return use(CALL(open, 5, P(text(a[1])), flags, 0644), flags);
}

static long do_openat(char **a)
{
	long flags = open_flags(a[0]);
	int at = folder(a[1]);
	long opened = CALL(openat, 295, at, P(text(a[2])), flags, 0644);
	release(a[1], at);
	return use(opened, flags);
}

struct how { uint64_t flags, mode, resolve; };

static long do_openat2(char **a)
{
	struct how how = {open_flags(a[0]), 0, resolve_flags(a[1])};
	if (how.flags & (O_CREAT | __O_TMPFILE))
		how.mode = 0644;
	int at = folder(a[2]);
	long opened = CALL(openat2, 437, at, P(text(a[3])), P(keep(&how, sizeof how)), sizeof how);
	release(a[2], at);
	return use(opened, how.flags);
}

static long do_creat(char **a)
{
	return use(CALL(creat, 8, P(text(a[0])), 0644), O_WRONLY);
}

// Makes a file without a name, writes it and gives it one.
static long do_tmpfile(char **a)
{
	char self[40];
	long file = CALL(openat, 295, AT_FDCWD, P(text(a[0])), O_TMPFILE | O_RDWR, 0644);
	if (file < 0)
		return file;
	if (write(file, "changed\n", 8) < 0)
		return -1;
	snprintf(self, sizeof self, "/proc/self/fd/%ld", file);
	long result = CALL(linkat, 303, AT_FDCWD, P(text(self)), AT_FDCWD, P(text(a[1])),
		AT_SYMLINK_FOLLOW);
	release("", file);
	return result;
}

// Tells what a read gives.
static long do_read(char **a)
{
	char found[200];
	long file = CALL(openat, 295, AT_FDCWD, P(text(a[0])), O_RDONLY);
	if (file < 0)
		return file;
	long count = read(file, found, sizeof found - 1);
	release("", file);
	if (count >= 0) {
		found[count] = 0;
		say("%s", found);
	}
	return count;
}

static long do_list(char **a)
{
	DIR *directory = opendir(a[0]);
	if (!directory)
		return -1;
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.')
			say("%s\n", entry->d_name);
	closedir(directory);
	return 0;
}

static long do_stat(char **a)
{
	struct stat found;
	return syscall(SYS_newfstatat, AT_FDCWD, a[0], &found, 0);
}

/* Names. */

static long do_unlink(char **a) { return CALL(unlink, 10, P(text(a[0]))); }
static long do_rmdir(char **a) { return CALL(rmdir, 40, P(text(a[0]))); }
static long do_mkdir(char **a) { return CALL(mkdir, 39, P(text(a[0])), 0755); }
static long do_symlink(char **a) { return CALL(symlink, 83, P(text(a[0])), P(text(a[1]))); }
static long do_link(char **a) { return CALL(link, 9, P(text(a[0])), P(text(a[1]))); }
static long do_rename(char **a) { return CALL(rename, 38, P(text(a[0])), P(text(a[1]))); }

static long do_unlinkat(char **a)
{
	int at = folder(a[1]);
	long result = CALL(unlinkat, 301, at, P(text(a[2])), at_flags(a[0]));
	release(a[1], at);
	return result;
}

static long do_mkdirat(char **a)
{
	int at = folder(a[0]);
	long result = CALL(mkdirat, 296, at, P(text(a[1])), 0755);
	release(a[0], at);
	return result;
}

static long do_symlinkat(char **a)
{
	int at = folder(a[1]);
	long result = CALL(symlinkat, 304, P(text(a[0])), at, P(text(a[2])));
	release(a[1], at);
	return result;
}

static long do_linkat(char **a)
{
	int from = folder(a[1]), to = folder(a[3]);
	long result = CALL(linkat, 303, from, P(text(a[2])), to, P(text(a[4])), at_flags(a[0]));
	release(a[1], from);
	release(a[3], to);
	return result;
}

static long do_renameat(char **a)
{
	int from = folder(a[0]), to = folder(a[2]);
	long result = CALL(renameat, 302, from, P(text(a[1])), to, P(text(a[3])));
	release(a[0], from);
	release(a[2], to);
	return result;
}

static long do_renameat2(char **a)
{
	int from = folder(a[1]), to = folder(a[3]);
	long result = CALL(renameat2, 353, from, P(text(a[2])), to, P(text(a[4])),
		rename_flags(a[0]));
	release(a[1], from);
	release(a[3], to);
	return result;
}

static dev_t device(const char *name)
{
	// That of /dev/null.
	return strcmp(name, "device") ? 0 : (1 << 8 | 3);
}

static long do_mknod(char **a)
{
	return CALL(mknod, 14, P(text(a[1])), kind(a[0]), device(a[0]));
}

static long do_mknodat(char **a)
{
	int at = folder(a[1]);
	long result = CALL(mknodat, 297, at, P(text(a[2])), kind(a[0]), device(a[0]));
	release(a[1], at);
	return result;
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	errno = ENAMETOOLONG;
	need(strlen(path) < sizeof address.sun_path ? 0 : -1, path);
	memcpy(address.sun_path, path, strlen(path));
	return address;
}

static long do_bind(char **a)
{
	struct sockaddr_un place = address(a[0]);
	int socket_ = need(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	struct sockaddr_un *kept = keep(&place, sizeof place);
	if (!arena_filled)
		race_within(kept->sun_path);
	long result = CALL(bind, 361, socket_, P(kept), sizeof place);
	release("", socket_);
	return result;
}

static long do_connect(char **a)
{
	struct sockaddr_un place = address(a[0]);
	int socket_ = need(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	long result = CALL(connect, 362, socket_, P(keep(&place, sizeof place)), sizeof place);
	release("", socket_);
	return result;
}

// Sends a text to the socket at a path.
static long do_sendto(char **a)
{
	struct sockaddr_un place = address(a[0]);
	int socket_ = need(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
	long result = CALL(sendto, 369, socket_, P(text("changed\n")), 8, MSG_DONTWAIT,
		P(keep(&place, sizeof place)), sizeof place);
	release("", socket_);
	return result;
}

static long do_sendmsg(char **a)
{
	struct sockaddr_un place = address(a[0]);
	struct iovec data = {"changed\n", 8};
	struct msghdr message = {
		.msg_name = &place, .msg_namelen = sizeof place, .msg_iov = &data, .msg_iovlen = 1};
	int socket_ = need(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
	long result = CALL(sendmsg, NONE, socket_, P(&message), MSG_DONTWAIT);
	release("", socket_);
	return result;
}

// Sends both ends of a pipe from one socket to another, and looks whether they arrive.
static long pass(int from, struct sockaddr_un *to, int receiver)
{
	union { char room[CMSG_SPACE(2 * sizeof(int))]; struct cmsghdr header; } control = {0};
	char byte = 'a';
	int ends[2], came[2];
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_name = to, .msg_namelen = to ? sizeof *to : 0, .msg_iov = &data,
		.msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	need(pipe(ends), "pipe");
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof ends);
	memcpy(CMSG_DATA(header), ends, sizeof ends);
	if (CALL(sendmsg, NONE, from, P(&message), 0) != 1)
		return -1;
	memset(&control, 0, sizeof control);
	byte = 0;
	message.msg_name = NULL;
	message.msg_namelen = 0;
	need(recvmsg(receiver, &message, MSG_DONTWAIT), "recvmsg");
	header = CMSG_FIRSTHDR(&message);
	errno = EIO;
	if (byte != 'a' || !header || header->cmsg_len != CMSG_LEN(sizeof came))
		return -1;
	memcpy(came, CMSG_DATA(header), sizeof came);
	need(write(came[1], "b", 1), "write");
	need(read(ends[0], &byte, 1), "read");
	errno = EIO;
	return byte == 'b' ? 0 : -1;
}

static long do_passing(char **a)
{
	int pair[2];
	(void)a;
	need(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
	return pass(pair[0], NULL, pair[1]);
}

static long do_passing_to(char **a)
{
	struct sockaddr_un place = address(a[0]);
	int receiver = need(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
	int from = need(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
	need(bind(receiver, (struct sockaddr *)&place, sizeof place), "bind");
	long result = pass(from, &place, receiver);
	int error = errno;
	unlink(text(a[0]));
	errno = error;
	return result;
}

// Sends two at once, of which the first goes to itself.
static long do_sendmmsg(char **a)
{
	struct sockaddr_un own = {.sun_family = AF_UNIX}, place = address(a[0]);
	socklen_t size = sizeof own;
	struct iovec data = {"changed\n", 8};
	int socket_ = need(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
	// The kernel chooses a name that is in no directory.
	need(bind(socket_, (struct sockaddr *)&own, sizeof own.sun_family), "bind");
	need(getsockname(socket_, (struct sockaddr *)&own, &size), "getsockname");
	struct mmsghdr messages[2] = {
		{.msg_hdr = {.msg_name = &own, .msg_namelen = size, .msg_iov = &data, .msg_iovlen = 1}},
		{.msg_hdr = {.msg_name = &place, .msg_namelen = sizeof place, .msg_iov = &data,
			.msg_iovlen = 1}}};
	long sent = CALL(sendmmsg, NONE, socket_, P(messages), 2, MSG_DONTWAIT);
	release("", socket_);
	if (sent == 1)
		errno = EACCES;
	return sent == 2 ? 0 : -1;
}

/* What a file is. */

#define MODE 0750

static long do_chmod(char **a) { return CALL(chmod, 15, P(text(a[0])), MODE); }

static long do_fchmod(char **a)
{
	int file = readable(a[0]);
	long result = CALL(fchmod, 94, file, MODE);
	release(a[0], file);
	return result;
}

static long do_fchmodat(char **a)
{
	int at = folder(a[0]);
	long result = CALL(fchmodat, 306, at, P(text(a[1])), MODE);
	release(a[0], at);
	return result;
}

static long do_fchmodat2(char **a)
{
	int at = folder(a[1]);
	long result = CALL(fchmodat2, 452, at, P(text(a[2])), MODE, at_flags(a[0]));
	release(a[1], at);
	return result;
}

// The file is a descriptor that can be used for nothing but its path.
static long do_fchmodat2_empty(char **a)
{
	int file = need(open(a[0], O_PATH), a[0]);
	long result = CALL(fchmodat2, 452, file, P(text("")), MODE, AT_EMPTY_PATH);
	release("", file);
	return result;
}

static long do_chown(char **a)
{
	return CALL(chown, 212, P(text(a[2])), atoi(a[0]), atoi(a[1]));
}

static long do_lchown(char **a)
{
	return CALL(lchown, 198, P(text(a[2])), atoi(a[0]), atoi(a[1]));
}

static long do_fchown(char **a)
{
	int file = readable(a[2]);
	long result = CALL(fchown, 207, file, atoi(a[0]), atoi(a[1]));
	release(a[2], file);
	return result;
}

static long do_fchownat(char **a)
{
	int at = folder(a[3]);
	long result = CALL(fchownat, 298, at, P(text(a[4])), atoi(a[0]), atoi(a[1]), at_flags(a[2]));
	release(a[3], at);
	return result;
}

static long do_fchownat_empty(char **a)
{
	int file = need(open(a[2], O_PATH), a[2]);
	long result = CALL(fchownat, 298, file, P(text("")), atoi(a[0]), atoi(a[1]), AT_EMPTY_PATH);
	release("", file);
	return result;
}

static long do_truncate(char **a) { return CALL(truncate, 92, P(text(a[0])), 3); }

static long do_ftruncate(char **a)
{
	long file = given(a[0]);
	if (file < 0)
		file = CALL(open, 5, P(text(a[0])), O_RDWR);
	if (file < 0)
		return file;
	long result = CALL(ftruncate, 93, file, 3);
	release(a[0], file);
	return result;
}

// 2001-02-03 04:05:06 UTC.
#define WHEN 981173106L

static long do_utime(char **a)
{
	return CALL(utime, 30, P(text(a[0])), P(longs(2, (const long[]){WHEN, WHEN})));
}

static long do_utimes(char **a)
{
	return CALL(utimes, 271, P(text(a[0])), P(longs(4, (const long[]){WHEN, 0, WHEN, 0})));
}

static long do_futimesat(char **a)
{
	int at = folder(a[0]);
	long result = CALL(futimesat, 299, at, P(text(a[1])),
		P(longs(4, (const long[]){WHEN, 0, WHEN, 0})));
	release(a[0], at);
	return result;
}

static void *timespecs(void)
{
	return keep((const int64_t[]){WHEN, 0, WHEN, 0}, 4 * sizeof(int64_t));
}

static long do_utimensat(char **a)
{
	int at = folder(a[1]);
	long result = CALL(utimensat, 412, at, P(text(a[2])), P(timespecs()), at_flags(a[0]));
	release(a[1], at);
	return result;
}

// Without a path, on a descriptor that allows no writing, as futimens() does it.
static long do_utimensat_null(char **a)
{
	int file = readable(a[0]);
	long result = CALL(utimensat, 412, file, 0, P(timespecs()), 0);
	release(a[0], file);
	return result;
}

#define ATTRIBUTE "user.ebd"
#define VALUE "changed"

static long do_setxattr(char **a)
{
	return CALL(setxattr, 226, P(text(a[0])), P(text(ATTRIBUTE)), P(text(VALUE)), 7, 0);
}

static long do_lsetxattr(char **a)
{
	return CALL(lsetxattr, 227, P(text(a[0])), P(text(ATTRIBUTE)), P(text(VALUE)), 7, 0);
}

static long do_fsetxattr(char **a)
{
	int file = readable(a[0]);
	long result = CALL(fsetxattr, 228, file, P(text(ATTRIBUTE)), P(text(VALUE)), 7, 0);
	release(a[0], file);
	return result;
}

static long do_setxattrat(char **a)
{
	struct { uint64_t value; uint32_t size, flags; } arguments = {P(text(VALUE)), 7, 0};
	int at = folder(a[0]);
	long result = CALL(setxattrat, 463, at, P(text(a[1])), 0, P(text(ATTRIBUTE)),
		P(keep(&arguments, sizeof arguments)), sizeof arguments);
	release(a[0], at);
	return result;
}

static long do_removexattr(char **a)
{
	return CALL(removexattr, 235, P(text(a[0])), P(text(ATTRIBUTE)));
}

static long do_lremovexattr(char **a)
{
	return CALL(lremovexattr, 236, P(text(a[0])), P(text(ATTRIBUTE)));
}

static long do_fremovexattr(char **a)
{
	int file = readable(a[0]);
	long result = CALL(fremovexattr, 237, file, P(text(ATTRIBUTE)));
	release(a[0], file);
	return result;
}

static long do_removexattrat(char **a)
{
	int at = folder(a[0]);
	long result = CALL(removexattrat, 466, at, P(text(a[1])), 0, P(text(ATTRIBUTE)));
	release(a[0], at);
	return result;
}

// Sets the attribute that `chattr +d` sets, by way of a descriptor that allows no writing.
static long do_ioctl_flags(char **a)
{
	long flags = 0;
	int file = readable(a[0]);
	need(ioctl(file, _IOR('f', 1, long), &flags), "FS_IOC_GETFLAGS");
	flags |= 0x40;
	long request = compat ? _IOW('f', 2, int) : _IOW('f', 2, long);
	long result = CALL(ioctl, 54, file, request, P(keep(&flags, sizeof flags)));
	release(a[0], file);
	return result;
}

// The same without a descriptor.
static long do_file_setattr(char **a)
{
	struct { uint64_t flags; uint32_t others[4]; } attributes = {0x80, {0}};
	int at = folder(a[0]);
	long result = CALL(file_setattr, 469, at, P(text(a[1])),
		P(keep(&attributes, sizeof attributes)), sizeof attributes, 0);
	release(a[0], at);
	return result;
}

/* By way of the C library, which chooses among the calls. */

static long do_libc_fopen(char **a)
{
	FILE *file = fopen(a[0], "w");
	if (!file)
		return -1;
	fputs("changed\n", file);
	return fclose(file);
}

static long do_libc_remove(char **a) { return remove(a[0]); }
static long do_libc_rename(char **a) { return rename(a[0], a[1]); }
static long do_libc_mkfifo(char **a) { return mkfifo(a[0], 0644); }
static long do_libc_chmod(char **a) { return fchmodat(AT_FDCWD, a[0], MODE, AT_SYMLINK_NOFOLLOW); }
static long do_libc_truncate(char **a) { return truncate(a[0], 3); }
static long do_libc_setxattr(char **a) { return setxattr(a[0], ATTRIBUTE, VALUE, 7, 0); }

static long do_libc_utimes(char **a)
{
	return utimes(a[0], (const struct timeval[]){{WHEN, 0}, {WHEN, 0}});
}

static long do_libc_mkdtemp(char **a)
{
	char template[4096];
	snprintf(template, sizeof template, "%s/XXXXXX", a[0]);
	return mkdtemp(template) ? 0 : -1;
}

/* What is never allowed. */

// Writes a file that is there, if that is possible.
static void fill(const char *path, const char *format, ...)
{
	va_list arguments;
	int file = open(path, O_WRONLY);
	va_start(arguments, format);
	vdprintf(file, format, arguments);
	va_end(arguments);
	close(file);
}

// Goes where mounts are seen by nobody else, if that is possible.
static void leave_mounts(void)
{
	int user = getuid(), group = getgid();
	if (unshare(CLONE_NEWNS) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return;
		// Files can be made there by those who have a name there.
		fill("/proc/self/setgroups", "deny");
		fill("/proc/self/uid_map", "0 %d 1", user);
		fill("/proc/self/gid_map", "0 %d 1", group);
	}
	(void)!mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static long do_mount(char **a)
{
	leave_mounts();
	return CALL(mount, 21, P(text("none")), P(text(a[0])), P(text("tmpfs")), 0, 0);
}

static long do_mount_bind(char **a)
{
	leave_mounts();
	return CALL(mount, 21, P(text(a[0])), P(text(a[1])), 0, MS_BIND, 0);
}

static long do_umount2(char **a)
{
	leave_mounts();
	(void)!mount("none", a[0], "tmpfs", 0, NULL);
	return CALL(umount2, 52, P(text(a[0])), MNT_DETACH);
}

static long do_pivot_root(char **a)
{
	char old[4096];
	leave_mounts();
	(void)!mount("none", a[0], "tmpfs", 0, NULL);
	snprintf(old, sizeof old, "%s/old", a[0]);
	(void)!mkdir(old, 0755);
	return CALL(pivot_root, 217, P(text(a[0])), P(text(old)));
}

static long do_move_mount(char **a)
{
	leave_mounts();
	long tree = CALL(open_tree, 428, AT_FDCWD, P(text(a[0])), 1 /* OPEN_TREE_CLONE */);
	if (tree < 0)
		return tree;
	return CALL(move_mount, 429, tree, P(text("")), AT_FDCWD, P(text(a[1])), 4 /* empty path */);
}

// With a descriptor that is none of a tree: whether the call itself is there.
static long do_move_mount_alone(char **a)
{
	leave_mounts();
	return CALL(move_mount, 429, AT_FDCWD, P(text(a[0])), AT_FDCWD, P(text(a[1])), 0);
}

static long do_fsopen(char **a)
{
	(void)a;
	leave_mounts();
	return CALL(fsopen, 430, P(text("tmpfs")), 0);
}

static long do_mount_setattr(char **a)
{
	uint64_t attributes[4] = {0, 1 /* read-only, cleared */, 0, 0};
	leave_mounts();
	(void)!mount("none", a[0], "tmpfs", MS_RDONLY, NULL);
	return CALL(mount_setattr, 442, AT_FDCWD, P(text(a[0])), 0,
		P(keep(attributes, sizeof attributes)), sizeof attributes);
}

static long do_io_uring_setup(char **a)
{
	char parameters[120] = {0};
	(void)a;
	return CALL(io_uring_setup, 425, 4, P(keep(parameters, sizeof parameters)));
}

// Opens a file by what names it on its file system, not by its path.
static long do_open_by_handle_at(char **a)
{
	struct { struct file_handle head; char rest[128]; } handle = {.head.handle_bytes = 128};
	int mount_id;
	need(name_to_handle_at(AT_FDCWD, a[0], &handle.head, &mount_id, 0), "name_to_handle_at");
	int mount_ = need(open(a[1], O_RDONLY | O_DIRECTORY), a[1]);
	long opened = CALL(open_by_handle_at, 342, mount_, P(keep(&handle, sizeof handle)),
		O_WRONLY | O_TRUNC);
	release("", mount_);
	return use(opened, O_WRONLY);
}

/* Other processes. */

// Is what others attack: tells its pid and where it keeps a text, waits for the end of its standard
// input, and tells the text. Descriptor 40 is a file that is open for writing.
static long do_victim(char **a)
{
	static volatile char secret[16] = "untouched";
	char byte;
	need(dup2(need(open(a[0], O_RDWR), a[0]), 40), "dup2");
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	say("%d %lu\n", getpid(), (unsigned long)secret);
	while (read(0, &byte, 1) > 0)
		;
	say("%s\n", (const char *)secret);
	return 0;
}

static long do_pidfd_getfd(char **a)
{
	int process = syscall(SYS_pidfd_open, atoi(a[0]), 0);
	if (process < 0)
		return process;
	return use(syscall(SYS_pidfd_getfd, process, 40, 0), O_RDWR);
}

static const char touched[8] = "touched";

static long do_process_vm_writev(char **a)
{
	struct iovec here = {(void *)touched, sizeof touched};
	struct iovec there = {(void *)strtoul(a[1], NULL, 10), sizeof touched};
	return CALL(process_vm_writev, NONE, atoi(a[0]), P(&here), 1, P(&there), 1, 0);
}

static long do_proc_mem(char **a)
{
	char path[40];
	snprintf(path, sizeof path, "/proc/%s/mem", a[0]);
	int memory = open(path, O_RDWR);
	if (memory < 0)
		return memory;
	return pwrite(memory, touched, sizeof touched, strtoul(a[1], NULL, 10));
}

static long do_ptrace_poke(char **a)
{
	pid_t other = atoi(a[0]);
	long word;
	memcpy(&word, touched, sizeof word);
	if (ptrace(PTRACE_ATTACH, other, 0, 0) < 0)
		return -1;
	need(waitpid(other, NULL, 0), "waitpid");
	long result = ptrace(PTRACE_POKEDATA, other, strtoul(a[1], NULL, 10), word);
	ptrace(PTRACE_DETACH, other, 0, 0);
	return result;
}

static long do_kill(char **a) { return kill(atoi(a[0]), SIGTERM); }

// The parent of a process, 0 if there is none to be seen.
static pid_t parent_of(pid_t process)
{
	char path[40], line[1000] = "";
	snprintf(path, sizeof path, "/proc/%d/stat", process);
	int file = open(path, O_RDONLY);
	if (file < 0)
		return 0;
	(void)!read(file, line, sizeof line - 1);
	close(file);
	char *end = strrchr(line, ')');
	return end ? atoi(end + 4) : 0;
}

// Attaches to whoever started this program, and to whoever started that, up to a given one.
static long do_ptrace_parents(char **a)
{
	long result = -1;
	int last = atoi(a[0]);
	errno = ESRCH;
	for (pid_t at = getppid(); at > 1 && at != last; at = parent_of(at)) {
		result = ptrace(PTRACE_SEIZE, at, 0, 0);
		say("%d: %s\n", at, result < 0 ? error_name(errno) : "ok");
		if (!result)
			break;
	}
	return result;
}

// Kills them.
static int kill_parents(char **a)
{
	int last = atoi(a[0]);
	pid_t parents[64];
	int count = 0;
	for (pid_t at = getppid(); at > 1 && at != last && count < 64; at = parent_of(at))
		parents[count++] = at;
	while (count--)
		kill(parents[count], SIGKILL);
	return 0;
}

// Has a sibling, which it traces, remove a file: the call is changed where it enters the kernel.
static long do_ptrace_unlink(char **a)
{
#ifdef __x86_64__
	char *path = text(a[0]);
	int status;
	struct user_regs_struct registers;
	pid_t sibling = need(fork(), "fork");
	if (!sibling)
		for (;;)
			syscall(SYS_getppid);
	need(ptrace(PTRACE_ATTACH, sibling, 0, 0), "attach");
	need(waitpid(sibling, &status, 0), "waitpid");
	ptrace(PTRACE_SETOPTIONS, sibling, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	long result = -1;
	for (int stop = 0; stop < 1000; stop++) {
		need(ptrace(PTRACE_SYSCALL, sibling, 0, 0), "syscall");
		need(waitpid(sibling, &status, 0), "waitpid");
		need(ptrace(PTRACE_GETREGS, sibling, 0, &registers), "registers");
		bool entry = (long)registers.rax == -ENOSYS;
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80)
			|| registers.orig_rax != SYS_getppid || !entry)
			continue;
		registers.orig_rax = SYS_unlink;
		registers.rdi = (unsigned long)path;
		need(ptrace(PTRACE_SETREGS, sibling, 0, &registers), "registers");
		need(ptrace(PTRACE_SYSCALL, sibling, 0, 0), "syscall");
		need(waitpid(sibling, &status, 0), "waitpid");
		need(ptrace(PTRACE_GETREGS, sibling, 0, &registers), "registers");
		result = (long)registers.rax < 0 ? -1 : 0;
		errno = -(long)registers.rax;
		break;
	}
	int before = errno;
	kill(sibling, SIGKILL);
	errno = before;
	return result;
#else
	(void)a;
	errno = ENOSYS;
	return -1;
#endif
}

static long do_no_new_privs(char **a)
{
	(void)a;
	errno = EPERM;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -1;
}

/* The network. */

static struct sockaddr_in local(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static long do_tcp_connect(char **a)
{
	struct sockaddr_in place = local(atoi(a[0]));
	char byte;
	int connection = socket(AF_INET, SOCK_STREAM, 0);
	if (connection < 0)
		return connection;
	if (connect(connection, (struct sockaddr *)&place, sizeof place) < 0)
		return -1;
	return read(connection, &byte, 1);
}

// Listens, connects to itself and sends a byte, over this kind of address.
static long both(int family, struct sockaddr *place, socklen_t size)
{
	char byte = 'x';
	int listener = socket(family, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, place, size) < 0 || listen(listener, 1) < 0
		|| getsockname(listener, place, &size) < 0)
		return -1;
	int there = socket(family, SOCK_STREAM, 0);
	if (there < 0 || connect(there, place, size) < 0)
		return -1;
	int here = accept(listener, NULL, NULL);
	if (here < 0 || write(there, &byte, 1) < 0)
		return -1;
	return read(here, &byte, 1);
}

static long do_tcp_both(char **a)
{
	struct sockaddr_in place = local(0);
	(void)a;
	return both(AF_INET, (struct sockaddr *)&place, sizeof place);
}

static long do_tcp6_both(char **a)
{
	struct sockaddr_in6 place = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	(void)a;
	return both(AF_INET6, (struct sockaddr *)&place, sizeof place);
}

static long do_unix_both(char **a)
{
	struct sockaddr_un place = address(a[0]);
	return both(AF_UNIX, (struct sockaddr *)&place, sizeof place);
}

static struct sockaddr_un abstract(const char *name, socklen_t *size)
{
	struct sockaddr_un place = {.sun_family = AF_UNIX};
	memcpy(place.sun_path + 1, name, strlen(name));
	*size = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
	return place;
}

static long do_abstract_both(char **a)
{
	socklen_t size;
	struct sockaddr_un place = abstract(a[0], &size);
	return both(AF_UNIX, (struct sockaddr *)&place, size);
}

static long do_abstract_connect(char **a)
{
	socklen_t size;
	struct sockaddr_un place = abstract(a[0], &size);
	int connection = need(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	return connect(connection, (struct sockaddr *)&place, size);
}

/* Much of it, and what else should be as it always is. */

// The directory of several tests.
static const char *where;

static char *below(char *buffer, const char *format, ...)
{
	va_list arguments;
	int length = snprintf(buffer, 4096, "%s/", where);
	va_start(arguments, format);
	vsnprintf(buffer + length, 4096 - length, format, arguments);
	va_end(arguments);
	return buffer;
}

// Opens files N times: one half for writing in a directory, the other for reading.
static long do_opens(char **a)
{
	int count = atoi(a[0]);
	char path[4096];
	where = a[1];
	for (int i = 0; i < count; i++) {
		int file = i % 2 ? open(a[2], O_RDONLY)
			: open(below(path, "%d", i / 2 % 1000), O_WRONLY | O_CREAT | O_APPEND, 0644);
		if (file < 0 || (i % 2 == 0 && write(file, "x", 1) != 1))
			return -1;
		close(file);
	}
	return 0;
}

// Opens files until the limit of descriptors, then tells whether things go on.
static long do_fill(char **a)
{
	struct rlimit limit = {100, 100};
	char path[4096];
	int file;
	where = a[0];
	need(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	for (int i = 0; (file = open(below(path, "%d", i), O_WRONLY | O_CREAT, 0644)) >= 0; i++)
		if (file >= 100)
			return 0;
	say("fill: %s\n", error_name(errno));
	close(99);
	file = open(below(path, "after"), O_WRONLY | O_CREAT, 0644);
	errno = EBADF;
	return file == 99 ? 0 : -1;
}

static void interrupt(int number) { (void)number; }

static int interruptions;

// Whether a call succeeded; one that was interrupted before it was made is made again.
static bool succeeds(long result, bool *again)
{
	*again = result < 0 && errno == EINTR;
	interruptions += *again;
	return result >= 0;
}

#define TRY(step, call) \
	do { \
		bool again; \
		do { \
			if (!succeeds(call, &again) && !again) { \
				int before = errno; \
				say("interrupted: %s failed in round %d\n", step, i); \
				errno = before; \
				return -1; \
			} \
		} while (again); \
	} while (0)

// Makes and removes things while a timer interrupts: nothing is done twice, nothing is left out.
// Tells how many calls failed for that, which calls that do not wait never do.
static long do_interrupted(char **a)
{
	char path[4096], other[4096];
	int count = atoi(a[1]), file;
	where = a[2];
	struct sigaction action = {
		.sa_handler = interrupt, .sa_flags = strcmp(a[0], "restart") ? 0 : SA_RESTART};
	sigaction(SIGALRM, &action, NULL);
	struct itimerval timer = {{0, 300}, {0, 300}};
	setitimer(ITIMER_REAL, &timer, NULL);
	below(path, "made");
	below(other, "moved");
	for (int i = 0; i < count; i++) {
		TRY("mkdir", syscall(SYS_mkdirat, AT_FDCWD, path, 0755));
		TRY("rename", syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, 0));
		TRY("rmdir", syscall(SYS_unlinkat, AT_FDCWD, other, AT_REMOVEDIR));
		TRY("open", file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
		close(file);
		TRY("chmod", chmod(path, MODE));
		TRY("unlink", unlink(path));
	}
	say("interrupted: %d times\n", interruptions);
	return 0;
}

static void *make_and_remove(void *number)
{
	char path[4096];
	for (int i = 0; i < 300; i++) {
		below(path, "thread-%ld", (long)number);
		int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (file < 0 || close(file) < 0 || chmod(path, MODE) < 0 || unlink(path) < 0)
			return (void *)(long)errno;
	}
	return NULL;
}

// Does such things in N threads at once.
static long do_threads(char **a)
{
	int count = atoi(a[0]);
	pthread_t threads[count];
	void *failed = NULL, *one;
	where = a[1];
	for (long i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, make_and_remove, (void *)i);
	for (int i = 0; i < count; i++) {
		pthread_join(threads[i], &one);
		failed = one ? one : failed;
	}
	errno = (long)failed;
	return failed ? -1 : 0;
}

// A fifo is opened for writing before anybody reads from it, which blocks the opener and nobody else.
static long do_fifo_both(char **a)
{
	char path[4096], other[4096], byte = 'x';
	int status;
	where = a[0];
	need(mkfifo(below(path, "fifo"), 0644), "mkfifo");
	pid_t writer = need(fork(), "fork");
	if (!writer) {
		int file = open(path, O_WRONLY);
		_exit(file >= 0 && write(file, &byte, 1) == 1 ? 0 : 1);
	}
	usleep(300000);
	if (mkdir(below(other, "meanwhile"), 0755) < 0)
		return -1;
	int file = open(path, O_RDONLY);
	if (file < 0 || read(file, &byte, 1) != 1)
		return -1;
	need(waitpid(writer, &status, 0), "waitpid");
	errno = EPIPE;
	return status ? -1 : 0;
}

// Somebody who waits for a fifo is killed: that is the end of the waiting.
static long do_fifo_killed(char **a)
{
	char path[4096], other[4096];
	int status;
	where = a[0];
	need(mkfifo(below(path, "fifo"), 0644), "mkfifo");
	pid_t writer = need(fork(), "fork");
	if (!writer)
		_exit(open(path, O_WRONLY));
	usleep(200000);
	kill(writer, SIGKILL);
	need(waitpid(writer, &status, 0), "waitpid");
	return mkdir(below(other, "after"), 0755);
}

// Tells what descriptors and files look like that were opened in several ways.
static long do_details(char **a)
{
	static const int ways[] = {
		O_WRONLY | O_CREAT, O_RDWR | O_CREAT | O_CLOEXEC, O_WRONLY | O_CREAT | O_APPEND,
		O_WRONLY | O_CREAT | O_NONBLOCK, O_RDWR | O_CREAT | O_EXCL, O_WRONLY | O_CREAT | O_SYNC,
		O_RDWR | O_TMPFILE, O_RDONLY | O_CREAT, O_PATH | O_WRONLY};
	static const int modes[] = {0666, 0600, 0777, 04755, 02711, 01444, 0, 0640, 0};
	struct stat found;
	where = a[0];
	umask(027);
	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
		char path[4096];
		below(path, "%u", i);
		int file = open((ways[i] & O_TMPFILE) == O_TMPFILE ? where : path, ways[i], modes[i]);
		if (file < 0) {
			say("%u: %s\n", i, error_name(errno));
			continue;
		}
		fstat(file, &found);
		say("%u: descriptor %d flags %o closes %d mode %o owner %d:%d\n", i, file,
			fcntl(file, F_GETFL), fcntl(file, F_GETFD), found.st_mode, (int)found.st_uid,
			(int)found.st_gid);
		// Each second one stays open.
		if (i % 2)
			close(file);
	}
	char path[4096];
	mkdir(below(path, "folder"), 02775);
	stat(path, &found);
	say("mkdir: mode %o\n", found.st_mode);
	mkfifo(below(path, "fifo"), 0666);
	stat(path, &found);
	say("mkfifo: mode %o\n", found.st_mode);
	struct sockaddr_un place = address(below(path, "socket"));
	(void)!bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&place, sizeof place);
	stat(path, &found);
	say("bind: mode %o\n", found.st_mode);
	return 0;
}

// The pid in such a file of /proc.
static long pid_in(int at, const char *path, int flags)
{
	char line[100] = "";
	int file = openat(at, path, flags);
	if (file < 0 || read(file, line, sizeof line - 1) < 0)
		return -1;
	close(file);
	return atol(line);
}

static void *own_proc(void *result)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY);
	long own = syscall(SYS_gettid);
	*(long *)result = pid_in(AT_FDCWD, "/proc/self/stat", O_RDONLY) == getpid()
			&& pid_in(AT_FDCWD, "/proc/thread-self/stat", O_RDONLY) == own
			&& pid_in(proc, "self/stat", O_RDONLY) == getpid()
			&& pid_in(proc, "thread-self/stat", O_RDONLY) == own
		? 0 : -1;
	return NULL;
}

// What /proc calls "self" is the process itself, also from its threads.
static long do_own_proc(char **a)
{
	long first = -1, second = -1;
	pthread_t thread;
	(void)a;
	own_proc(&first);
	pthread_create(&thread, NULL, own_proc, &second);
	pthread_join(thread, NULL);
	errno = ESRCH;
	return first || second ? -1 : 0;
}

// What the library does to name another thread.
static long do_comm(char **a)
{
	char path[80];
	(void)a;
	snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)syscall(SYS_gettid));
	return use(open(path, O_RDWR), O_RDWR);
}

// Gives the machine the name that it has.
static long do_sethostname(char **a)
{
	char name[65];
	(void)a;
	need(gethostname(name, sizeof name), "gethostname");
	return sethostname(name, strlen(name));
}

static long do_terminal(char **a)
{
	(void)a;
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return -1;
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	return slave < 0 ? -1 : write(slave, "x", 1);
}

// A file that has lost its name can be changed as before.
static long do_unlinked(char **a)
{
	int file = open(a[0], O_RDWR | O_CREAT, 0644);
	if (file < 0 || unlink(a[0]) < 0 || fchmod(file, MODE) < 0 || ftruncate(file, 10) < 0
		|| futimens(file, NULL) < 0 || fchown(file, getuid(), getgid()) < 0)
		return -1;
	char path[40];
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	return use(open(path, O_RDWR), O_RDWR);
}

// So can files that never had one.
static long do_nameless(char **a)
{
	int ends[2], file = memfd_create("nameless", 0);
	char path[40];
	(void)a;
	need(pipe(ends), "pipe");
	if (file < 0 || ftruncate(file, 10) < 0 || fchmod(file, 0700) < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	if (use(open(path, O_RDWR), O_RDWR) < 0)
		return -1;
	snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
	return use(open(path, O_WRONLY), O_WRONLY);
}

// The path is no address, is an address of nothing, or ends nowhere.
static long do_bad_pointers(char **a)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *place = need_memory(mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	(void)a;
	munmap(place + page, page);
	memset(place, '/', page);
	char *const pointers[] = {NULL, (char *)1, (char *)-1, place + page, place + page - 20};
	for (unsigned i = 0; i < sizeof pointers / sizeof *pointers; i++) {
		long given = P(pointers[i]);
		if (CALL(openat, 295, AT_FDCWD, given, O_WRONLY | O_CREAT, 0644) >= 0 || errno != EFAULT
			|| CALL(mkdirat, 296, AT_FDCWD, given, 0755) >= 0 || errno != EFAULT
			|| CALL(unlinkat, 301, AT_FDCWD, given, 0) >= 0 || errno != EFAULT
			|| CALL(fchmodat, 306, AT_FDCWD, given, 0755) >= 0 || errno != EFAULT) {
			say("bad-pointers: %u\n", i);
			return -1;
		}
	}
	return 0;
}

/* Things that are done in some way. */

static int dispatch(char **words);

static void *threaded(void *words)
{
	return (void *)(long)dispatch(words);
}

static int in_thread(char **a)
{
	pthread_t thread;
	void *result;
	pthread_create(&thread, NULL, threaded, a);
	pthread_join(thread, &result);
	return (long)result;
}

static int status_of(pid_t child)
{
	int status;
	need(waitpid(child, &status, __WALL), "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int in_fork(char **a)
{
	pid_t child = need(fork(), "fork");
	if (!child)
		_exit(dispatch(a));
	return status_of(child);
}

extern char **environ;
static char *own_name;

static int in_vfork(char **a)
{
	a[-1] = own_name;
	pid_t child = vfork();
	if (!child) {
		execve("/proc/self/exe", a - 1, environ);
		_exit(126);
	}
	return status_of(child);
}

static int cloned(void *words)
{
	return dispatch(words);
}

// A process that shares memory but is no thread.
static int in_clone(char **a)
{
	static char stack[1 << 18] __attribute__((aligned(16)));
	pid_t child = need(clone(cloned, stack + sizeof stack,
		CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, a), "clone");
	return status_of(child);
}

// Runs a copy of this program that has no place in the file system.
static int in_memfd(char **a)
{
	char buffer[1 << 16];
	int from = need(open("/proc/self/exe", O_RDONLY), "/proc/self/exe");
	int to = need(memfd_create("copy", 0), "memfd_create");
	for (ssize_t count; (count = need(read(from, buffer, sizeof buffer), "read"));)
		need(write(to, buffer, count), "write");
	a[-1] = own_name;
	syscall(SYS_execveat, to, "", a - 1, environ, AT_EMPTY_PATH);
	return need(-1, "execveat");
}

static int in_int80(char **a)
{
	compat = true;
	return dispatch(a);
}

static int at_edges(char **a)
{
	at_edge = true;
	return dispatch(a);
}

static int in_folder(char **a)
{
	need(chdir(a[0]), a[0]);
	return dispatch(a + 1);
}

static int in_root(char **a)
{
	need(syscall(SYS_chroot, a[0]), "chroot");
	need(chdir("/"), "chdir");
	return dispatch(a + 1);
}

static int in_namespace(char **a)
{
	need(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
	return dispatch(a);
}

static int with_umask(char **a)
{
	umask(strtol(a[0], NULL, 8));
	return dispatch(a + 1);
}

static int as_user(char **a)
{
	int user = atoi(a[0]);
	need(setgroups(0, NULL), "setgroups");
	need(setresgid(user, user, user), "setresgid");
	need(setresuid(user, user, user), "setresuid");
	return dispatch(a + 1);
}

// Nobody without privileges may look into such a process.
static int undumpable(char **a)
{
	need(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl");
	return dispatch(a);
}

// Descriptor 40 is the given path, open for reading.
static int with_descriptor(char **a)
{
	need(dup2(need(open(a[0], O_RDONLY), a[0]), 40), "dup2");
	return dispatch(a + 1);
}

static int with_path_descriptor(char **a)
{
	need(dup2(need(open(a[0], O_PATH), a[0]), 40), "dup2");
	return dispatch(a + 1);
}

// With filters of its own, which allow everything; a listener if it may have one.
static int with_filter(char **a)
{
	struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {1, allow};
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) < 0)
		say("filter: no listener: %s\n", error_name(errno));
	return dispatch(a);
}

// Becomes another program, for which the kernel does not have the call of this number.
static int lacking(char **a)
{
	unsigned number = atoi(a[0]);
	struct sock_filter lack[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, lack};
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
	execvp(a[1], a + 1);
	return need(-1, a[1]);
}

static int in_deleted_folder(char **a)
{
	char path[4096];
	where = a[0];
	need(mkdir(below(path, "gone"), 0755), "mkdir");
	need(chdir(path), "chdir");
	need(rmdir(path), "rmdir");
	return dispatch(a + 1);
}

// In a directory whose path has N times 250 bytes. What is not there is made.
static int in_depth(char **a)
{
	char step[251];
	memset(step, 'd', sizeof step - 1);
	step[sizeof step - 1] = 0;
	need(chdir(a[1]), a[1]);
	for (int i = atoi(a[0]); i > 0; i--) {
		if (chdir(step) < 0) {
			need(mkdir(step, 0755), "mkdir");
			need(chdir(step), "chdir");
		}
	}
	return dispatch(a + 2);
}

// Forks N times, some at once; each M-th child does the thing.
static int in_forks(char **a)
{
	int count = atoi(a[0]), every = atoi(a[1]), status, failed = 0;
	for (int i = 1, alive = 0; i <= count; i++) {
		pid_t child = need(fork(), "fork");
		if (!child)
			_exit(i % every ? 0 : dispatch(a + 2));
		for (alive++; alive >= (i < count ? 50 : 1); alive--) {
			need(wait(&status), "wait");
			failed += status != 0;
		}
	}
	say("forks: %d of %d failed\n", failed, count);
	return 0;
}

/* Races: the same thing N times while a thread changes what it means. */

static volatile bool begun, finished;

// Does the thing in a loop and tells how often it went how.
static int repeat(int count, char **words, void *(*disturb)(void *), void *argument);

static void *swap_links(void *links)
{
	char **names = links;
	for (; !finished; begun = true)
		need(syscall(SYS_renameat2, AT_FDCWD, names[0], AT_FDCWD, names[1], 2), "renameat2");
	return NULL;
}

static int race_link(char **a)
{
	return repeat(atoi(a[0]), a + 3, swap_links, a + 1);
}

static void *rewrite_paths(void *nothing)
{
	unsigned random = 1;
	for (; !finished; begun = true)
		for (int i = 0; i < racing_count; i++) {
			random = random * 1103515245 + 12345;
			*racing[i] = random >> 16 & 1 ? '1' : '0';
			// Something else between two changes, not always the same.
			for (volatile unsigned j = random >> 17 & 0xfff; j; j--)
				;
		}
	return nothing;
}

static int race_path(char **a)
{
	return repeat(atoi(a[0]), a + 1, rewrite_paths, NULL);
}

static void *replace_descriptor(void *descriptors)
{
	int *both = descriptors;
	for (int turn = 0; !finished; turn = !turn, begun = true)
		dup2(both[turn], 40);
	return NULL;
}

// Either of the two may be "memfd", which has no path.
static int race_descriptor(char **a)
{
	int descriptors[2];
	for (int i = 0; i < 2; i++)
		descriptors[i] = need(strcmp(a[1 + i], "memfd") ? open(a[1 + i], O_RDONLY)
			: memfd_create("nameless", 0), a[1 + i]);
	need(dup2(descriptors[0], 40), "dup2");
	return repeat(atoi(a[0]), a + 3, replace_descriptor, descriptors);
}

static void *change_folder(void *paths)
{
	char **names = paths;
	for (int turn = 0; !finished; turn = !turn, begun = true)
		need(chdir(names[turn]), names[turn]);
	return NULL;
}

static int race_folder(char **a)
{
	need(chdir(a[1]), a[1]);
	return repeat(atoi(a[0]), a + 3, change_folder, a + 1);
}

static volatile struct how racing_how = {O_RDONLY, 0, 0};

static void *change_flags(void *nothing)
{
	for (int turn = 0; !finished; turn = !turn, begun = true) {
		racing_how.flags = turn ? O_WRONLY | O_TRUNC : O_RDONLY;
		for (volatile int j = 0; j < turn * 100; j++)
			;
	}
	return nothing;
}

static long do_racing_openat2(char **a)
{
	return use(syscall(SYS_openat2, AT_FDCWD, a[0], &racing_how, sizeof racing_how), O_WRONLY);
}

static int race_flags(char **a)
{
	return repeat(atoi(a[0]), a + 1, change_flags, NULL);
}

// An address that is a path or none, and a message that has it or none.
static struct sockaddr_un racing_address = {.sun_family = AF_UNIX};
static struct sockaddr_un whole_address = {.sun_family = AF_UNIX};
static struct iovec racing_data = {"changed\n", 8};
static struct msghdr racing_message = {.msg_iov = &racing_data, .msg_iovlen = 1};

static void *change_address(void *nothing)
{
	volatile char *first = racing_address.sun_path;
	void *volatile *name = &racing_message.msg_name;
	for (int turn = 0; !finished; turn = !turn, begun = true) {
		*first = turn ? '/' : 0;
		*name = turn ? &whole_address : NULL;
		for (volatile int j = 0; j < 500; j++)
			;
	}
	return nothing;
}

static int race_address(char **a)
{
	return repeat(atoi(a[0]), a + 1, change_address, NULL);
}

static socklen_t race_for_address(const char *path)
{
	if (!whole_address.sun_path[0])
		racing_address = whole_address = address(path);
	// Not a byte more: all of them are the name of an abstract one.
	return racing_message.msg_namelen = offsetof(struct sockaddr_un, sun_path) + strlen(path);
}

static long do_racing_connect(char **a)
{
	socklen_t size = race_for_address(a[0]);
	int socket_ = need(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
	long result = syscall(SYS_connect, socket_, &racing_address, size);
	release("", socket_);
	return result;
}

static long do_racing_sendto(char **a)
{
	socklen_t size = race_for_address(a[0]);
	int socket_ = need(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
	long result = syscall(SYS_sendto, socket_, "changed\n", 8, MSG_DONTWAIT, &racing_address, size);
	release("", socket_);
	return result;
}

static long do_racing_sendmsg(char **a)
{
	race_for_address(a[0]);
	int socket_ = need(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
	long result = syscall(SYS_sendmsg, socket_, &racing_message, MSG_DONTWAIT);
	release("", socket_);
	return result;
}

/* Processes that stay. */

// Beats in one directory and tries to write in another, until it is ended, but not forever.
static void linger(const char *outside, const char *inside, const char *who)
{
	char beat[4096], forbidden[4096];
	snprintf(beat, sizeof beat, "%s/beat-%s", inside, who);
	snprintf(forbidden, sizeof forbidden, "%s/written-%s", outside, who);
	for (int i = 0; i < 30000; i++) {
		int file = open(beat, O_WRONLY | O_CREAT | O_APPEND, 0644);
		if (file >= 0) {
			(void)!write(file, "x", 1);
			close(file);
		}
		use(open(forbidden, O_WRONLY | O_CREAT, 0644), O_WRONLY);
		chmod(outside, 0700);
		usleep(2000);
	}
	_exit(0);
}

// Starts processes that lie low in several ways, waits until all of them work, and then either stays
// or leaves them behind.
static int lingering(char **a)
{
	bool stay = !strcmp(a[0], "stay");
	const char *outside = a[1], *inside = a[2];
	char path[4096];
	for (int number = SIGHUP; number <= SIGTERM; number++)
		if (number != SIGKILL && number != SIGCHLD)
			signal(number, SIG_IGN);
	if (!need(fork(), "fork"))
		linger(outside, inside, "child");
	if (!need(fork(), "fork")) {
		setsid();
		linger(outside, inside, "session");
	}
	if (!need(fork(), "fork")) {
		setsid();
		if (fork())
			_exit(0);
		for (int file = 0; file < 50; file++)
			close(file);
		(void)!chdir("/");
		linger(outside, inside, "daemon");
	}
	where = inside;
	static const char *const all[] = {"child", "session", "daemon"};
	for (int i = 0; i < 3; i++)
		while (access(below(path, "beat-%s", all[i]), F_OK))
			usleep(1000);
	say("lingering\n");
	if (stay)
		linger(outside, inside, "first");
	return 0;
}

/* The table. */

struct thing { const char *name; int arguments; long (*perform)(char **); };

static const struct thing things[] = {
	{"open", 2, do_open},
	{"openat", 3, do_openat},
	{"openat2", 4, do_openat2},
	{"creat", 1, do_creat},
	{"tmpfile", 2, do_tmpfile},
	{"read", 1, do_read},
	{"list", 1, do_list},
	{"stat", 1, do_stat},
	{"unlink", 1, do_unlink},
	{"unlinkat", 3, do_unlinkat},
	{"rmdir", 1, do_rmdir},
	{"mkdir", 1, do_mkdir},
	{"mkdirat", 2, do_mkdirat},
	{"symlink", 2, do_symlink},
	{"symlinkat", 3, do_symlinkat},
	{"link", 2, do_link},
	{"linkat", 5, do_linkat},
	{"rename", 2, do_rename},
	{"renameat", 4, do_renameat},
	{"renameat2", 5, do_renameat2},
	{"mknod", 2, do_mknod},
	{"mknodat", 3, do_mknodat},
	{"bind", 1, do_bind},
	{"connect", 1, do_connect},
	{"sendto", 1, do_sendto},
	{"sendmsg", 1, do_sendmsg},
	{"sendmmsg", 1, do_sendmmsg},
	{"passing", 0, do_passing},
	{"passing-to", 1, do_passing_to},
	{"chmod", 1, do_chmod},
	{"fchmod", 1, do_fchmod},
	{"fchmodat", 2, do_fchmodat},
	{"fchmodat2", 3, do_fchmodat2},
	{"fchmodat2-empty", 1, do_fchmodat2_empty},
	{"chown", 3, do_chown},
	{"lchown", 3, do_lchown},
	{"fchown", 3, do_fchown},
	{"fchownat", 5, do_fchownat},
	{"fchownat-empty", 3, do_fchownat_empty},
	{"truncate", 1, do_truncate},
	{"ftruncate", 1, do_ftruncate},
	{"utime", 1, do_utime},
	{"utimes", 1, do_utimes},
	{"futimesat", 2, do_futimesat},
	{"utimensat", 3, do_utimensat},
	{"utimensat-null", 1, do_utimensat_null},
	{"setxattr", 1, do_setxattr},
	{"lsetxattr", 1, do_lsetxattr},
	{"fsetxattr", 1, do_fsetxattr},
	{"setxattrat", 2, do_setxattrat},
	{"removexattr", 1, do_removexattr},
	{"lremovexattr", 1, do_lremovexattr},
	{"fremovexattr", 1, do_fremovexattr},
	{"removexattrat", 2, do_removexattrat},
	{"ioctl-flags", 1, do_ioctl_flags},
	{"file_setattr", 2, do_file_setattr},
	{"libc-fopen", 1, do_libc_fopen},
	{"libc-remove", 1, do_libc_remove},
	{"libc-rename", 2, do_libc_rename},
	{"libc-mkfifo", 1, do_libc_mkfifo},
	{"libc-chmod", 1, do_libc_chmod},
	{"libc-truncate", 1, do_libc_truncate},
	{"libc-setxattr", 1, do_libc_setxattr},
	{"libc-utimes", 1, do_libc_utimes},
	{"libc-mkdtemp", 1, do_libc_mkdtemp},
	{"mount", 1, do_mount},
	{"mount-bind", 2, do_mount_bind},
	{"umount2", 1, do_umount2},
	{"pivot_root", 1, do_pivot_root},
	{"move_mount", 2, do_move_mount},
	{"move_mount-alone", 2, do_move_mount_alone},
	{"fsopen", 0, do_fsopen},
	{"mount_setattr", 1, do_mount_setattr},
	{"io_uring_setup", 0, do_io_uring_setup},
	{"open_by_handle_at", 2, do_open_by_handle_at},
	{"victim", 1, do_victim},
	{"pidfd_getfd", 1, do_pidfd_getfd},
	{"process_vm_writev", 2, do_process_vm_writev},
	{"proc-mem", 2, do_proc_mem},
	{"ptrace-poke", 2, do_ptrace_poke},
	{"ptrace-parents", 1, do_ptrace_parents},
	{"ptrace-unlink", 1, do_ptrace_unlink},
	{"kill", 1, do_kill},
	{"no-new-privs", 0, do_no_new_privs},
	{"tcp-connect", 1, do_tcp_connect},
	{"tcp-both", 0, do_tcp_both},
	{"tcp6-both", 0, do_tcp6_both},
	{"unix-both", 1, do_unix_both},
	{"abstract-both", 1, do_abstract_both},
	{"abstract-connect", 1, do_abstract_connect},
	{"opens", 3, do_opens},
	{"fill", 1, do_fill},
	{"interrupted", 3, do_interrupted},
	{"threads", 2, do_threads},
	{"fifo-both", 1, do_fifo_both},
	{"fifo-killed", 1, do_fifo_killed},
	{"details", 1, do_details},
	{"own-proc", 0, do_own_proc},
	{"comm", 0, do_comm},
	{"sethostname", 0, do_sethostname},
	{"terminal", 0, do_terminal},
	{"unlinked", 1, do_unlinked},
	{"nameless", 0, do_nameless},
	{"bad-pointers", 0, do_bad_pointers},
	{"racing-openat2", 1, do_racing_openat2},
	{"racing-connect", 1, do_racing_connect},
	{"racing-sendto", 1, do_racing_sendto},
	{"racing-sendmsg", 1, do_racing_sendmsg},
};

// With at least so many arguments, the things that follow among them.
struct way { const char *name; int arguments; int (*go)(char **); };

static int end_with(char **a) { return atoi(a[0]); }

static int end_by_signal(char **a)
{
	signal(atoi(a[0]), SIG_DFL);
	kill(getpid(), atoi(a[0]));
	return 3;
}

// Does several things, one after the other, each ended by ";".
static int in_turn(char **a)
{
	int status = 0;
	while (*a) {
		char **end = a;
		while (*end && strcmp(*end, ";"))
			end++;
		char *separator = *end;
		*end = NULL;
		int one = dispatch(a);
		status = one ? one : status;
		a = separator ? end + 1 : end;
	}
	return status;
}

static const struct way ways[] = {
	{"thread", 1, in_thread},
	{"fork", 1, in_fork},
	{"vfork", 1, in_vfork},
	{"clone", 1, in_clone},
	{"memfd", 1, in_memfd},
	{"int80", 1, in_int80},
	{"edge", 1, at_edges},
	{"in", 2, in_folder},
	{"chroot", 2, in_root},
	{"namespace", 1, in_namespace},
	{"umask", 2, with_umask},
	{"user", 2, as_user},
	{"undumpable", 1, undumpable},
	{"descriptor", 2, with_descriptor},
	{"path-descriptor", 2, with_path_descriptor},
	{"filter", 1, with_filter},
	{"lacking", 2, lacking},
	{"deleted", 2, in_deleted_folder},
	{"deep", 3, in_depth},
	{"forks", 3, in_forks},
	{"turn", 1, in_turn},
	{"race-link", 4, race_link},
	{"race-path", 2, race_path},
	{"race-descriptor", 4, race_descriptor},
	{"race-folder", 4, race_folder},
	{"race-flags", 2, race_flags},
	{"race-address", 2, race_address},
	{"linger", 3, lingering},
	{"kill-parents", 1, kill_parents},
	{"exit", 1, end_with},
	{"signal", 1, end_by_signal},
};

static int count_of(char **words)
{
	int count = 0;
	while (words[count])
		count++;
	return count;
}

static const struct thing *find(char **words)
{
	for (unsigned i = 0; i < sizeof things / sizeof *things; i++)
		if (!strcmp(things[i].name, words[0]) && things[i].arguments == count_of(words) - 1) {
			doing = things[i].name;
			return &things[i];
		}
	say("%s: no such thing with %d arguments\n", words[0], count_of(words) - 1);
	_exit(2);
}

static int repeat(int count, char **words, void *(*disturb)(void *), void *argument)
{
	int done = 0, refused = 0, failed = 0;
	pthread_t thread;
	if (!strcmp(words[0], "int80")) {
		compat = true;
		words++;
	}
	const struct thing *thing = find(words);
	// So that there is something to change.
	size_t begin = arena_used;
	thing->perform(words + 1);
	arena_filled = true;
	pthread_create(&thread, NULL, disturb, argument);
	while (!begun)
		sched_yield();
	for (int i = 0; i < count; i++) {
		arena_used = begin;
		if (thing->perform(words + 1) >= 0)
			done++;
		else if (errno == EACCES || errno == EPERM)
			refused++;
		else
			failed++;
	}
	finished = true;
	pthread_join(thread, NULL);
	say("%s: %d done, %d refused, %d failed\n", thing->name, done, refused, failed);
	return 0;
}

static int dispatch(char **words)
{
	if (!words[0]) {
		say("calls: nothing to do\n");
		_exit(2);
	}
	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
		if (!strcmp(ways[i].name, words[0])) {
			doing = ways[i].name;
			if (count_of(words) <= ways[i].arguments) {
				say("%s: too few arguments\n", words[0]);
				_exit(2);
			}
			return ways[i].go(words + 1);
		}
	const struct thing *thing = find(words);
	errno = 0;
	long result = thing->perform(words + 1);
	say("%s: %s\n", thing->name, result < 0 ? error_name(errno) : "ok");
	return result < 0;
}

// A kernel without 32-bit programs ends those that act as one.
static void no_such_call(int number)
{
	(void)number;
	say("%s: ENOSYS\n", doing);
	_exit(1);
}

int main(int count, char **arguments)
{
	(void)count;
	own_name = arguments[0];
	signal(SIGSEGV, no_such_call);
	return dispatch(arguments + 1);
}
