/*
 * -sandbox through the real program: every thread has a filter, programs are refused by name.
 * That migrations pass under it is shown by the other programs, run with $FERRY_TEST_SANDBOX.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "libqtest.h"
#include "migration-file-ram.h"

#define DENY "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny "

static void no_leak_search(void)
{
#ifdef __SANITIZE_ADDRESS__
    /* The search for leaks starts a process, which is what the filter is to forbid. */
    g_setenv("ASAN_OPTIONS", "detect_leaks=0", TRUE);
#endif
}

/* Threads of the process with a filter; all of them must have one. */
static unsigned filtered_threads(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task", (int)pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned n = 0;
    const char *tid;

    while ((tid = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, tid, "status", NULL);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
        if (!strstr(text, "\nSeccomp:\t2\n") || !strstr(text, "\nNoNewPrivs:\t1\n")) {
            g_error("a thread without filter: %s", text);
        }
        n++;
    }
    return n;
}

static void test_threads(void)
{
    QTestState *s = qtest_init(DENY "-M q35 -m 16 -smp 2");

    /* Main, two vCPUs, the monitor's. */
    g_assert_cmpuint(filtered_threads(qtest_pid(s)), >=, 4);
    qtest_quit(s);
    s = qtest_init("-sandbox on -M q35 -m 16 -smp 2");
    /* And the one that starts programs. */
    g_assert_cmpuint(filtered_threads(qtest_pid(s)), >=, 5);
    qtest_quit(s);
}

static void test_exec_refused(void)
{
    QTestState *s = qtest_init(DENY "-M none -m 16 -incoming defer");
    g_autofree char *in = qtest_qmp_error(s, "migrate-incoming", "{'uri': 'exec:true'}");
    g_autofree char *out = NULL, *cpr = NULL, *err = NULL;

    g_assert_nonnull(strstr(in, "forbids to run another (-sandbox spawn=deny)"));
    qtest_quit(s);
    s = qtest_init(DENY "-M none -m 16");
    out = qtest_qmp_error(s, "migrate", "{'uri': 'exec:true'}");
    g_assert_nonnull(strstr(out, "forbids to run another (-sandbox spawn=deny)"));
    qtest_qmp_ok(s, "migrate-set-parameters", "{'mode': 'cpr-exec', 'cpr-exec-command': "
                 "['/bin/true']}");
    cpr = qtest_qmp_error(s, "migrate", "{'uri': 'file:/dev/null'}");
    g_assert_nonnull(strstr(cpr, "spawn=deny"));
    /* It lives and can do other things. */
    qtest_qmp_ok(s, "query-status", NULL);
    qtest_quit(s);
    g_assert_cmpint(qtest_run(NULL, &err, DENY "-M none -m 16 -accel qtest -incoming exec:true"),
                    ==, 1);
    g_assert_nonnull(strstr(err, "spawn=deny"));
}

/* A command that the migration thread asks for is not under that thread's filter. */
static void test_exec_allowed(void)
{
    FilePair p = file_pair_source("none", 16, "-sandbox on,elevateprivileges=deny");
    g_autofree char *status = file_pair_path(&p, "status");
    g_autofree char *stream = file_pair_path(&p, "stream");
    g_autofree char *text = NULL;

    qtest_qmp_ok(p.from, "migrate", "{'uri': 'exec:grep Seccomp_filters /proc/self/status > %s; "
                 "cat > %s'}", status, stream);
    json_object_unref(mig_wait(p.from, "completed"));
    g_assert_true(g_file_get_contents(status, &text, NULL, NULL));
    g_assert_cmpstr(g_strchomp(text), ==, "Seccomp_filters:\t1");
    g_autofree char *incoming = g_strdup_printf("'exec:cat %s'", stream);
    file_pair_destination(&p, NULL, "none", incoming, "-sandbox on,elevateprivileges=deny");
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    no_leak_search();
    g_test_add_func("/sandbox/threads", test_threads);
    g_test_add_func("/sandbox/exec-refused", test_exec_refused);
    g_test_add_func("/sandbox/exec-allowed", test_exec_allowed);
    return g_test_run();
}
