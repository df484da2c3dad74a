/*
 * Unit tests of the filters of threads: what each role may do, and what happens when it does
 * something else.  Every case is a process of its own: a filter stays.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/sandbox-private.h"
#include "util/util.h"

static long do_exec(void)
{
    return execl("/bin/true", "true", NULL);
}

static long do_fork(void)
{
    return syscall(SYS_fork);
}

static long do_open(void)
{
    return open("/dev/null", O_RDONLY);
}

static long do_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long do_setuid(void)
{
    return syscall(SYS_setuid, getpid());
}

static long do_ptrace(void)
{
    return syscall(SYS_ptrace, 0, 0, 0, 0);
}

static long do_send(void)
{
    return send(-1, "", 1, MSG_NOSIGNAL) < 0 ? 0 : -1;
}

static long do_memory(void)
{
    void *volatile p = malloc(64 * MiB);

    memset(p, 1, 64 * MiB);
    free(p);
    return 0;
}

static gpointer memory_thread(gpointer opaque)
{
    do_memory();
    return NULL;
}

static long do_thread(void)
{
    g_thread_join(thread_start("chardev-in", memory_thread, NULL));
    return 0;
}

typedef struct Case {
    const char *thread;
    long (*fn)(void);
    const char *call; /* that ends it; NULL: it is allowed */
} Case;

static const Case cases[] = {
    { "CPU 0/KVM", do_memory, NULL },        { "CPU 0/KVM", do_send, NULL },
    { "CPU 0/KVM", do_open, "openat" },      { "CPU 1/interp", do_socket, "socket" },
    { "CPU 0/KVM", do_exec, "execve" },      { "CPU 0/KVM", do_fork, "fork" },
    { "migration", do_open, NULL },          { "migration", do_socket, NULL },
    { "migration", do_thread, NULL },        { "migration", do_exec, "execve" },
    { "migration", do_setuid, "setuid" },    { "incoming", do_ptrace, "ptrace" },
    { "mig/dst/fault", do_send, NULL },      { "mig/dst/fault", do_open, "openat" },
    { "mig/dst/recv_3", do_socket, "socket" }, { "mig/src/send_0", do_open, "openat" },
    { "populate", do_memory, NULL },         { "populate", do_send, "sendto" },
    { "mon_iothread", do_socket, NULL },     { "mon_iothread", do_exec, "execve" },
    { "something else", do_memory, NULL },   { "something else", do_send, "sendto" },
};

static gpointer call(gpointer fn)
{
    return GSIZE_TO_POINTER(((long (*)(void))fn)() < 0);
}

static void G_GNUC_NORETURN child(const Case *c, int err)
{
    SandboxConfig config = { .deny_spawn = true, .deny_resource = true };
    GThread *t;

    dup2(err, STDERR_FILENO);
    if (!sandbox_threads_prepare(&config, NULL)) {
        _exit(3);
    }
    sandbox_watch();
    t = thread_start(c->thread, call, (gpointer)c->fn);
    _exit(g_thread_join(t) ? 2 : 0);
}

static void test_case(gconstpointer opaque)
{
    const Case *c = opaque;
    char text[512] = "";
    int fds[2], status;
    pid_t pid;

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    pid = fork();
    if (pid == 0) {
        child(c, fds[1]);
    }
    close(fds[1]);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    ssize_t n = read(fds[0], text, sizeof(text) - 1);
    close(fds[0]);
    if (!c->call) {
        g_assert_cmpint(status, ==, 0);
        return;
    }
    g_autofree char *thread = g_strdup_printf("thread '%.15s'", c->thread);
    g_autofree char *name = g_strdup_printf("system call %s (", c->call);
    g_assert_cmpint(n, >, 0);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
    g_assert_nonnull(strstr(text, thread));
    g_assert_nonnull(strstr(text, name));
}

/* Calls `found` with every name of a thread that is written down in a source file. */
static unsigned scan(const char *path, const char *table)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    g_autoptr(GRegex) re = g_regex_new("thread_(?:try_)?start\\(\"([^\"]+)\"", 0, 0, NULL);
    unsigned n = 0;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_autofree char *text = NULL;
        g_autoptr(GMatchInfo) match = NULL;

        if (g_file_test(file, G_FILE_TEST_IS_DIR) && *name != '.') {
            n += scan(file, table);
        }
        if (!g_str_has_suffix(name, ".c") || !g_file_get_contents(file, &text, NULL, NULL)) {
            continue;
        }
        for (g_regex_match(re, text, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL), n++) {
            g_autofree char *thread = g_match_info_fetch(match, 1);
            g_autofree char *row = g_strdup_printf("{ \"%s\"", thread);
            if (!strstr(table, row)) {
                g_error("%s starts the thread '%s', which has no row in sandbox-threads.c", file,
                        thread);
            }
        }
    }
    return n;
}

/* Whoever adds a thread says what it may do. */
static void test_rows(void)
{
    static const char *const folders[] = { "accel", "chardev", "hw", "io", "migration", "monitor",
                                           "system", "util", "net" };
    g_autofree char *top = g_path_get_dirname(g_getenv("G_TEST_SRCDIR"));
    g_autofree char *file = g_build_filename(top, "system", "sandbox-threads.c", NULL);
    g_autofree char *table = NULL;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(file, &table, NULL, NULL));
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        g_autofree char *path = g_build_filename(top, folders[i], NULL);
        n += scan(path, table);
    }
    g_assert_cmpuint(n, >, 15);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *path = g_strdup_printf("/sandbox/case/%zu", i);
        g_test_add_data_func(path, &cases[i], test_case);
    }
    g_test_add_func("/sandbox/rows", test_rows);
    return g_test_run();
}
