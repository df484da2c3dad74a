/*
 * Giving up privileges, and what others may see: user and root directory, modes of sockets and
 * files, keys and passwords in logs and properties.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration-file-ram.h"
#include "migration-pair.h"
#include "tls-files.h"

#define NOBODY "65534:65534"
#define PSK "c0ffee00112233445566778899aabbcc"
#define SECRET "open-sesame-7193"
#define SECRET_BASE64 "b3Blbi1zZXNhbWUtNzE5Mw=="

static bool am_root(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root can become another user");
        return false;
    }
    return true;
}

static char *status_line(QTestState *s, const char *key)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)qtest_pid(s));
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        if (g_str_has_prefix(*l, key)) {
            return g_strchomp(g_strdup(*l + strlen(key)));
        }
    }
    g_error("no line %s", key);
}

static void expect_status(QTestState *s, const char *key, const char *want)
{
    g_autofree char *line = status_line(s, key);

    g_assert_cmpstr(line, ==, want);
}

/* Can nobody come to the folder for temporary files?  A private one is all that some have. */
static bool others_enter_tmp(void)
{
    g_autofree char *dir = g_strdup(g_get_tmp_dir());

    while (strlen(dir) > 1) {
        g_autofree char *below = dir;
        struct stat st;
        g_assert_cmpint(stat(below, &st), ==, 0);
        dir = g_path_get_dirname(below);
        if (!(st.st_mode & S_IXOTH)) {
            g_test_skip("others cannot enter the folder for temporary files");
            return false;
        }
    }
    return true;
}

/* Nobody has no way to userfaultfd but the one that was opened before. */
static void run_postcopy(const char *args)
{
    Pair p = pair_new(args, args);

    g_free(p.uri);
    p.uri = g_strdup_printf("tcp:127.0.0.1:%d", g_random_int_range(20000, 60000));
    g_assert_cmpint(chown(qtest_dir(p.to), 65534, 65534), ==, 0); /* it saves its memory there */
    expect_status(p.to, "Uid:", "\t65534\t65534\t65534\t65534");
    expect_status(p.to, "Gid:", "\t65534\t65534\t65534\t65534");
    expect_status(p.to, "CapEff:", "\t0000000000000000");
    expect_status(p.to, "CapPrm:", "\t0000000000000000");
    expect_status(p.to, "Groups:", "\t65534");
    pair_run(&p);
}

static void test_user(void)
{
    if (am_root() && others_enter_tmp()) {
        run_postcopy("-run-with user=" NOBODY);
    }
}

static void test_user_sandbox(void)
{
    if (am_root() && others_enter_tmp()) {
#ifdef __SANITIZE_ADDRESS__
        g_setenv("ASAN_OPTIONS", "detect_leaks=0", TRUE);
#endif
        run_postcopy("-run-with user=" NOBODY " -sandbox on,obsolete=deny,"
                     "elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    }
}

/* Paths are those of the new root; what was opened before stays open. */
static void test_chroot(void)
{
    g_autofree char *root = g_dir_make_tmp("ferry-root-XXXXXX", NULL);
    g_autofree char *args = g_strdup_printf("-run-with chroot=%s,user=" NOBODY, root);
    g_autofree char *inside = g_build_filename(root, "mig", NULL);
    g_autofree char *outside = g_strdup_printf("unix:%s", inside);
    struct stat st;

    if (!am_root()) {
        g_rmdir(root);
        return;
    }
    g_assert_cmpint(chown(root, 65534, 65534), ==, 0);
    FilePair p = file_pair_source("none", 16, "");
    file_pair_destination(&p, NULL, "none", "defer", args);
    file_pair_migrate(&p, "unix:/mig", outside);
    file_pair_free(&p);
    g_assert_cmpint(stat(inside, &st), ==, -1);
    g_assert_cmpint(g_rmdir(root), ==, 0);
}

static void test_refused(void)
{
    static const char *const rows[][2] = {
        { "-run-with user=nosuchuser", "there is no user 'nosuchuser'" },
        { "-run-with user=1:", "not of the form" },
        { "-run-with user=4294967295:1", "not of the form" },
        { "-run-with chroot=/nonexistent/root", "/nonexistent/root" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows) && am_root(); i++) {
        g_autofree char *err = NULL;
        g_assert_cmpint(qtest_run(NULL, &err, "-M none -accel qtest %s", rows[i][0]), ==, 1);
        g_assert_nonnull(strstr(err, rows[i][1]));
    }
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_mode & 0777;
}

/* Whatever umask is: no socket for others, no guest memory but for the owner. */
static void test_modes(void)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-modes-XXXXXX", NULL);
    g_autofree char *qmp = g_build_filename(dir, "qmp", NULL);
    static const unsigned masks[] = { 0, 022, 077 };

    for (size_t i = 0; i < G_N_ELEMENTS(masks); i++) {
        mode_t old = umask(masks[i]);
        QTestState *s = qtest_init("-M none -m 1M -qmp unix:%s,server=on,wait=off -incoming defer",
                                   qmp);
        umask(old);
        g_autofree char *mig = qtest_path(s, "mig");
        g_autofree char *saved = qtest_path(s, "saved");
        g_autofree char *stream = qtest_path(s, "stream");

        qtest_qmp_ok(s, "migrate-incoming", "{'uri': 'unix:%s'}", mig);
        g_assert_cmpuint(mode_of(qmp), ==, 0770 & ~masks[i]);
        g_assert_cmpuint(mode_of(mig), ==, 0770 & ~masks[i]);
        qtest_quit(s);
        old = umask(masks[i]);
        s = qtest_init("-M q35 -m 1M");
        umask(old);
        g_free(saved);
        g_free(stream);
        saved = qtest_path(s, "saved");
        stream = qtest_path(s, "stream");
        qtest_qmp_ok(s, "pmemsave", "{'val': 0, 'size': 4096, 'filename': '%s'}", saved);
        g_assert_cmpuint(mode_of(saved), ==, 0600);
        qtest_qmp_ok(s, "migrate", "{'uri': 'file:%s'}", stream);
        json_object_unref(mig_wait(s, "completed"));
        g_assert_cmpuint(mode_of(stream), ==, 0600);
        qtest_quit(s);
    }
    g_rmdir(dir);
}

/* ---- secrets ---- */

static void expect_absent(const char *text, gsize len, const char *what)
{
    g_autofree uint8_t *raw = g_malloc(strlen(PSK) / 2);
    static const char *const words[] = { PSK, SECRET, SECRET_BASE64, "PRIVATE KEY" };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_strstr_len(text, len, words[i])) {
            g_error("%s has '%s'", what, words[i]);
        }
    }
    for (size_t i = 0; i < strlen(PSK) / 2; i++) {
        raw[i] = g_ascii_xdigit_value(PSK[2 * i]) << 4 | g_ascii_xdigit_value(PSK[2 * i + 1]);
    }
    if (memmem(text, len, raw, strlen(PSK) / 2)) {
        g_error("%s has the key's bytes", what);
    }
}

/* Everything is traced and logged, and errors are made on purpose. */
static void test_never_logged(void)
{
    char *dir = tls_dir_new();
    g_autofree char *logs[2] = { NULL }, *more = NULL;
    FilePair p;

    tls_write_psk(dir, "qemu", PSK);
    for (int i = 0; i < 2; i++) {
        logs[i] = g_strdup_printf("%s/log%d", dir, i);
    }
    more = g_strdup_printf("-object secret,id=sec,data=%s,format=base64 -d "
                           "guest_errors,unimp,int -trace *", SECRET_BASE64);
    g_autofree char *from = g_strdup_printf("-D %s %s -object tls-creds-psk,id=tls,dir=%s,"
                                            "endpoint=client", logs[0], more, dir);
    g_autofree char *to = g_strdup_printf("-D %s %s -object tls-creds-psk,id=tls,dir=%s,"
                                          "endpoint=server", logs[1], more, dir);
    p = file_pair_source("none", 16, from);
    file_pair_destination(&p, NULL, "none", "defer", to);
    for (int i = 0; i < 2; i++) {
        QTestState *s = i ? p.to : p.from;
        static const char *const props[] = { "data", "file", "format" };
        g_autofree char *e = qtest_qmp_error(
            s, "object-add", "{'qom-type': 'tls-creds-x509', 'id': 'x', 'dir': '%s', "
            "'passwordid': 'sec'}", dir);
        g_autofree char *bad = qtest_qmp_error(
            s, "object-add", "{'qom-type': 'secret', 'id': 'y', 'data': '!%s', "
            "'format': 'base64'}", SECRET);
        g_autofree char *tree = qtest_hmp(s, "info qom-tree");
        expect_absent(e, strlen(e), "an error");
        expect_absent(bad, strlen(bad), "an error");
        expect_absent(tree, strlen(tree), "info qom-tree");
        g_free(qtest_qmp_error(s, "qom-get", "{'path': '/objects/sec', 'property': 'data'}"));
        g_autoptr(JsonNode) list = qtest_qmp(s, "qom-list", "{'path': '/objects/sec'}");
        g_autofree char *text = json_to_string(list, FALSE);
        expect_absent(text, strlen(text), "qom-list");
        for (size_t k = 1; k < G_N_ELEMENTS(props); k++) {
            g_autoptr(JsonNode) value = qtest_qmp(
                s, "qom-get", "{'path': '/objects/sec', 'property': '%s'}", props[k]);
            g_autofree char *v = json_to_string(value, FALSE);
            expect_absent(v, strlen(v), props[k]);
        }
        qtest_qmp_ok(s, "migrate-set-parameters", "{'tls-creds': 'tls'}");
    }
    g_autofree char *uri = g_strdup_printf("unix:%s/s", p.dir);
    file_pair_migrate(&p, uri, uri);
    for (int i = 0; i < 2; i++) {
        g_autofree char *err = qtest_stderr(i ? p.to : p.from);
        g_autofree char *log = NULL;
        gsize len;
        g_assert_true(g_file_get_contents(logs[i], &log, &len, NULL));
        g_assert_nonnull(g_strstr_len(log, len, "io_tls_established"));
        expect_absent(log, len, "the log");
        expect_absent(err, strlen(err), "stderr");
        g_clear_pointer(&logs[i], g_free);
    }
    file_pair_free(&p);
    tls_dir_free(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/privileges/user", test_user);
    g_test_add_func("/privileges/user-sandbox", test_user_sandbox);
    g_test_add_func("/privileges/chroot", test_chroot);
    g_test_add_func("/privileges/refused", test_refused);
    g_test_add_func("/privileges/modes", test_modes);
    g_test_add_func("/privileges/never-logged", test_never_logged);
    return g_test_run();
}
