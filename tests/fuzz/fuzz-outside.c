/*
 * Keeps what a fuzz target runs away from the machine it runs on: a monitor may open any file,
 * connect anywhere and start programs, and its fuzzed self must not.  The linker puts these in
 * front of the C library's functions (--wrap in meson.build), for Ferry's code and not for
 * GLib's.  Any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/util.h"

#define MMAP_MAX (64 * MiB)

static int isolated; /* atomic */
static __thread jmp_buf *survivor;

void fuzz_isolate(bool on)
{
    __atomic_store_n(&isolated, on, __ATOMIC_RELEASE);
}

/* Sets errno when the call is to fail. */
static bool refused(int why)
{
    bool refuse = __atomic_load_n(&isolated, __ATOMIC_ACQUIRE);

    if (refuse) {
        errno = why;
    }
    return refuse;
}

/* TYPE NAME(PARAMS) fails with VALUE and EACCES, or is NAME(ARGS) of the library. */
#define WRAP(type, name, value, params, args)    \
    type __real_##name params;                   \
    type __wrap_##name params;                   \
    type __wrap_##name params                    \
    {                                            \
        return refused(EACCES) ? (value) : __real_##name args; \
    }

WRAP(int, unlink, -1, (const char *path), (path))
WRAP(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, connect, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, bind, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, kill, -1, (pid_t pid, int sig), (pid, sig))
WRAP(pid_t, fork, -1, (void), ())
WRAP(int, execv, -1, (const char *path, char *const argv[]), (path, argv))
WRAP(int, chroot, -1, (const char *path), (path))
WRAP(int, setuid, -1, (uid_t uid), (uid))
WRAP(FILE *, fopen64, NULL, (const char *path, const char *mode), (path, mode))
WRAP(int, posix_spawnp, EACCES,
     (pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa,
      const posix_spawnattr_t *attr, char *const argv[], char *const envp[]),
     (pid, file, fa, attr, argv, envp))
WRAP(gboolean, g_file_get_contents, (g_set_error(err, G_FILE_ERROR, 0, "isolated"), FALSE),
     (const char *path, char **text, gsize *len, GError **err), (path, text, len, err))

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list ap;
    int mode;

    va_start(ap, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
    va_end(ap);
    return refused(EACCES) ? -1 : __real_open64(path, flags, mode);
}

/* A number of a descriptor that a monitor names: there is none. */
int __real_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    return refused(EBADF) ? -1 : __real_fcntl64(fd, cmd, arg);
}

void *__real_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    return len > MMAP_MAX && refused(ENOMEM) ? MAP_FAILED
                                             : __real_mmap64(at, len, prot, flags, fd, offset);
}

void __real_exit(int status) G_GNUC_NORETURN;
void __wrap_exit(int status) G_GNUC_NORETURN;
void __wrap_exit(int status)
{
    if (survivor) {
        longjmp(*survivor, 1);
    }
    __real_exit(status);
}

bool fuzz_survive(void (*fn)(void *opaque), void *opaque)
{
    jmp_buf here;
    bool returned = false;

    survivor = &here;
    if (!setjmp(here)) {
        fn(opaque);
        returned = true;
    }
    survivor = NULL;
    return returned;
}
