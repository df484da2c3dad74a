/*
 * A paused postcopy that goes on by a file: the rest of memory is written by the source, carried
 * over and read by the destination; what is refused, damaged, cut, or does not fit on the disk;
 * the network again afterwards; the end of the source.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migration-pair.h"
#include "oob.h"

/* Both halves of a paused postcopy, and a folder for what is carried. */
typedef struct Halves {
    Pair p;
    char *dir, *rest, *received;
} Halves;

static Halves halves_new(const char *from_args, const char *to_args)
{
    Halves h = { .p = pair_new(from_args, to_args) };

    h.dir = g_dir_make_tmp("ferry-carry-XXXXXX", NULL);
    h.rest = g_build_filename(h.dir, "rest", NULL);
    h.received = g_build_filename(h.dir, "received", NULL);
    pair_start(&h.p);
    pair_to_postcopy(&h.p);
    return h;
}

static void wait_paused(Halves *h)
{
    migration_wait_status(h->p.from, "postcopy-paused");
    migration_wait_status(h->p.to, "postcopy-paused");
}

static void pause_both(Halves *h)
{
    qtest_qmp_ok(h->p.from, "migrate-pause", NULL);
    wait_paused(h);
}

static Halves halves_paused(const char *from_args, const char *to_args)
{
    Halves h = halves_new(from_args, to_args);

    pause_both(&h);
    return h;
}

static void halves_free(Halves *h)
{
    pair_free(&h->p);
    g_unlink(h->rest);
    g_unlink(h->received);
    g_assert_cmpint(g_rmdir(h->dir), ==, 0);
    g_free(h->dir);
    g_free(h->rest);
    g_free(h->received);
}

static JsonObject *carry_info(QTestState *s)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);

    return json_object_ref(json_object_get_object_member(info, "x-carry"));
}

static int64_t carry_number(QTestState *s, const char *name)
{
    g_autoptr(JsonObject) c = carry_info(s);

    return json_object_get_int_member(c, name);
}

static void check_carry(QTestState *s, const char *status)
{
    g_autoptr(JsonObject) c = carry_info(s);

    g_assert_cmpstr(json_object_get_string_member(c, "status"), ==, status);
}

static char *info_text(QTestState *s, const char *name)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);

    return json_object_has_member(info, name)
               ? g_strdup(json_object_get_string_member(info, name))
               : NULL;
}

static void check_info(QTestState *s, const char *name, const char *part)
{
    g_autofree char *text = info_text(s, name);

    if (!text || !strstr(text, part)) {
        g_error("%s is '%s', without '%s'", name, text, part);
    }
}

static void refused(QTestState *s, const char *command, const char *args, const char *part)
{
    g_autofree char *err = qtest_qmp_error(s, command, "%s", args);

    if (!strstr(err, part)) {
        g_error("%s refused as '%s', without '%s'", command, err, part);
    }
}

static void refused_file(QTestState *s, const char *path, const char *part)
{
    g_autofree char *args = g_strdup_printf("{'uri': 'file:%s'}", path);

    refused(s, "migrate-recover", args, part);
}

static void write_rest(Halves *h)
{
    qtest_qmp_ok(h->p.from, "migrate", "{'uri': 'file:%s', 'resume': true}", h->rest);
    migration_wait_status(h->p.from, "postcopy-recover-setup");
    migration_wait_status(h->p.from, "postcopy-paused");
}

static void feed(Halves *h)
{
    qtest_qmp_ok(h->p.to, "migrate-recover", "{'uri': 'file:%s'}", h->rest);
    migration_wait_status(h->p.to, "postcopy-recover");
    migration_wait_status(h->p.to, "postcopy-active");
}

static void release(Halves *h)
{
    g_autofree char *receipt = info_text(h->p.to, "x-receipt");

    g_assert_nonnull(receipt);
    qtest_wait_run_state(h->p.from, "finish-migrate");
    refused(h->p.from, "x-migrate-release", "{'receipt': '0123456789abcdef'}", "not the receipt");
    qtest_qmp_ok(h->p.from, "x-migrate-release", "{'receipt': '%s'}", receipt);
    migration_wait_status(h->p.from, "completed");
    qtest_wait_run_state(h->p.from, "postmigrate");
}

/* The file brings everything. */
static void finish(Halves *h)
{
    feed(h);
    migration_wait_status(h->p.to, "completed");
    check_carry(h->p.to, "done");
    pair_check_all(h->p.to);
    release(h);
}

/* ---- the whole way ---- */

static void test_whole(void)
{
    Halves h = halves_paused("", "");
    g_autofree char *hmp = NULL;
    struct stat st;

    write_rest(&h);
    check_carry(h.p.from, "done");
    g_assert_cmpint(g_stat(h.rest, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    g_assert_cmpint(carry_number(h.p.from, "bytes"), ==, st.st_size);
    g_assert_cmpint(carry_number(h.p.from, "pages"), ==, carry_number(h.p.from, "total-pages"));
    g_assert_null(info_text(h.p.to, "x-receipt"));
    finish(&h);
    hmp = qtest_hmp(h.p.to, "info migrate");
    g_assert_nonnull(strstr(hmp, "Receipt:"));
    g_assert_nonnull(strstr(hmp, h.rest));
    /* It says clearly that it needs nothing more. */
    refused(h.p.to, "migrate-recover", "{'uri': 'unix:/tmp/x'}", "nothing is missing");
    refused_file(h.p.to, h.rest, "nothing is missing");
    refused(h.p.from, "x-migrate-release", "{'receipt': 'x'}", "postcopy-paused");
    halves_free(&h);
}

/* Structured, and by HMP. */
static void test_spellings(void)
{
    Halves h = halves_paused("", "");
    g_autofree char *wrote = NULL, *fed = NULL, *receipt = NULL, *released = NULL;

    qtest_qmp_ok(h.p.from, "migrate", "{'resume': true, 'channels': [{'channel-type': 'main', "
                 "'addr': {'transport': 'file', 'filename': '%s', 'offset': 0}}]}", h.rest);
    migration_wait_status(h.p.from, "postcopy-paused");
    g_assert_cmpint(g_unlink(h.rest), ==, 0); /* lost on the way: another one */
    wrote = qtest_hmp(h.p.from, "migrate -d -r file:%s", h.rest);
    g_assert_cmpstr(wrote, ==, "");
    migration_wait_status(h.p.from, "postcopy-paused");
    fed = qtest_hmp(h.p.to, "migrate_recover file:%s", h.rest);
    g_assert_cmpstr(fed, ==, "");
    migration_wait_status(h.p.to, "completed");
    receipt = info_text(h.p.to, "x-receipt");
    released = qtest_hmp(h.p.from, "x_migrate_release %s", receipt);
    g_assert_cmpstr(released, ==, "");
    migration_wait_status(h.p.from, "completed");
    pair_check_all(h.p.to);
    halves_free(&h);
}

/* What the destination has need not be carried. */
static void test_received(void)
{
    Halves h = halves_new("", "");
    int64_t all, fewer;

    for (unsigned i = 1; i <= 40; i++) {
        pair_check_page(h.p.to, PAIR_PAGES - 3 * i);
    }
    pause_both(&h);
    write_rest(&h);
    all = carry_number(h.p.from, "total-pages");
    qtest_qmp_ok(h.p.to, "x-migrate-save-received", "{'uri': 'file:%s'}", h.received);
    qtest_qmp_ok(h.p.from, "x-migrate-load-received", "{'uri': 'file:%s'}", h.received);
    write_rest(&h);
    fewer = carry_number(h.p.from, "total-pages");
    g_assert_cmpint(fewer, <=, all - 40);
    g_assert_cmpint(fewer, >, 0);
    refused_file(h.p.to, h.received, "a map of what was received");
    finish(&h);
    g_assert_cmpint(carry_number(h.p.to, "pages"), ==, fewer);
    halves_free(&h);
}

/* ---- files that are wrong ---- */

static void copy_with(const char *from, const char *to, gssize length, gsize at, uint8_t flip)
{
    g_autofree char *data = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(from, &data, &len, NULL));
    if (flip) {
        g_assert_cmpuint(at, <, len);
        data[at] ^= flip;
    }
    g_assert_true(g_file_set_contents(to, data, length < 0 ? (gssize)len : length, NULL));
}

static void check_unharmed(Halves *h)
{
    g_autofree char *status = info_text(h->p.to, "status");

    g_assert_cmpstr(status, ==, "postcopy-paused");
    qtest_wait_run_state(h->p.to, "running");
}

static void test_refused(void)
{
    Halves h = halves_new("-uuid 11111111-1111-1111-1111-111111111111", "");
    g_autofree char *bad = g_build_filename(h.dir, "bad", NULL);

    refused(h.p.to, "x-migrate-save-received", "{'uri': 'file:/tmp/x'}", "postcopy-paused");
    refused(h.p.from, "x-migrate-load-received", "{'uri': 'file:/tmp/x'}", "postcopy-paused");
    refused(h.p.from, "x-migrate-release", "{'receipt': 'x'}", "postcopy-paused");
    pause_both(&h);
    write_rest(&h);
    refused_file(h.p.to, "/nonexistent/x", "No such file");
    refused_file(h.p.to, h.dir, "no regular file");
    refused_file(h.p.to, "/dev/zero", "no regular file");
    g_assert_cmpint(mkfifo(bad, 0600), ==, 0);
    refused_file(h.p.to, bad, "no regular file");
    g_unlink(bad);
    refused(h.p.to, "migrate-recover", "{'uri': 'file:/tmp/x,offset=4096'}", "offset");
    refused(h.p.to, "x-migrate-save-received", "{'uri': 'unix:/tmp/x'}", "is no file");
    refused(h.p.to, "x-migrate-save-received", "{'uri': 'file:/nonexistent/x'}", "No such file");
    refused(h.p.from, "migrate", "{'uri': 'file:/tmp/x,offset=1', 'resume': true}", "offset");
    copy_with(h.rest, bad, 100, 0, 0);
    refused_file(h.p.to, bad, "it ends at 100");
    copy_with(h.rest, bad, 170, 0, 0);
    refused_file(h.p.to, bad, "it ends at 170");
    copy_with(h.rest, bad, -1, 3, 1);
    refused_file(h.p.to, bad, "does not begin with");
    copy_with(h.rest, bad, -1, 17, 1);
    refused_file(h.p.to, bad, "header is damaged");
    copy_with(h.rest, bad, -1, 400, 1);
    refused_file(h.p.to, bad, "tables are damaged");
    check_unharmed(&h);
    finish(&h);
    g_unlink(bad);
    halves_free(&h);
}

/* Of another guest; of this one, at another time: its program was started again. */
static void test_other(gconstpointer same_guest)
{
    const char *mine = "-uuid 11111111-1111-1111-1111-111111111111";
    Halves h = halves_paused(mine, mine);
    Halves o = halves_paused(same_guest ? mine : "-uuid 22222222-2222-2222-2222-222222222222", "");
    g_autofree char *args = g_strdup_printf("{'uri': 'file:%s'}", o.received);

    write_rest(&o);
    qtest_qmp_ok(o.p.to, "x-migrate-save-received", "{'uri': 'file:%s'}", o.received);
    refused_file(h.p.to, o.rest, same_guest ? "another attempt" : "another guest");
    /* The map comes from a destination without a UUID of its own. */
    refused(h.p.from, "x-migrate-load-received", args, "another attempt");
    check_unharmed(&h);
    write_rest(&h);
    finish(&h);
    halves_free(&h);
    halves_free(&o);
}

/* A byte of a page is another one, or the end is missing: what is good is taken. */
static void test_damaged(gconstpointer cut)
{
    Halves h = halves_paused("", "");
    g_autofree char *good = g_build_filename(h.dir, "good", NULL);
    int64_t total, first;
    struct stat st;

    write_rest(&h);
    g_assert_cmpint(g_rename(h.rest, good), ==, 0);
    g_assert_cmpint(g_stat(good, &st), ==, 0);
    total = carry_number(h.p.from, "total-pages");
    copy_with(good, h.rest, cut ? st.st_size / 2 : -1, st.st_size - 5000, cut ? 0 : 4);
    feed(&h);
    migration_wait_status(h.p.to, "postcopy-paused");
    check_carry(h.p.to, "failed");
    check_info(h.p.to, "error-desc", cut ? "cannot be used, the others are in place"
                                         : "the digest is another one");
    first = carry_number(h.p.to, "pages");
    /* Some had come over the network, but were not known to have. */
    g_assert_cmpint(first, >, cut ? total / 4 : total * 9 / 10);
    g_assert_cmpint(first, <, cut ? total * 3 / 4 : total - 60);
    /* Again: what came is not taken twice. */
    g_assert_cmpint(g_rename(good, h.rest), ==, 0);
    finish(&h);
    g_assert_cmpint(carry_number(h.p.to, "pages"), <=, total - first);
    g_assert_cmpint(carry_number(h.p.to, "pages"), >=, cut ? total / 4 : 60);
    halves_free(&h);
}

/* scripts/analyze-stream, which knows the format from its description only, sees the same. */
static char *analyze(const char *file, int *ret_status)
{
    g_autofree char *script = g_build_filename(g_getenv("FERRY_TEST_DATA"), "..", "..", "scripts",
                                               "analyze-stream", NULL);
    const char *argv[] = { "python3", script, file, NULL };
    char *out = NULL;

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out,
                               NULL, ret_status, NULL));
    return out;
}

static void test_analyze(void)
{
    Halves h = halves_paused("", "");
    g_autofree char *good = NULL, *bad = NULL, *map = NULL, *pages = NULL;
    int status;

    write_rest(&h);
    good = analyze(h.rest, &status);
    g_assert_cmpint(status, ==, 0);
    pages = g_strdup_printf("pages=%" PRId64, carry_number(h.p.from, "total-pages"));
    g_assert_nonnull(strstr(good, pages));
    g_assert_cmpint(truncate(h.rest, carry_number(h.p.from, "bytes") - 1), ==, 0);
    bad = analyze(h.rest, &status);
    g_assert_cmpint(status, !=, 0);
    g_assert_nonnull(strstr(bad, "damaged: 256 KiB at 0x1fc0000 of ram"));
    qtest_qmp_ok(h.p.to, "x-migrate-save-received", "{'uri': 'file:%s'}", h.received);
    map = analyze(h.received, &status);
    g_assert_cmpint(status, ==, 0);
    g_assert_nonnull(strstr(map, "received map"));
    halves_free(&h);
}

/* ---- with the network ---- */

/* The network comes back when a part has been carried over. */
static void test_network_again(void)
{
    Halves h = halves_paused("", "");
    g_autofree char *whole = g_build_filename(h.dir, "whole", NULL);
    g_autofree char *listen = qtest_path(h.p.to, "again");
    struct stat st;

    write_rest(&h);
    g_assert_cmpint(g_stat(h.rest, &st), ==, 0);
    copy_with(h.rest, whole, -1, 0, 0);
    g_assert_cmpint(truncate(h.rest, st.st_size / 3), ==, 0);
    feed(&h);
    migration_wait_status(h.p.to, "postcopy-paused");
    qtest_qmp_ok(h.p.to, "migrate-recover", "{'uri': 'unix:%s'}", listen);
    qtest_qmp_ok(h.p.from, "migrate", "{'uri': 'unix:%s', 'resume': true}", listen);
    migration_wait_status(h.p.from, "postcopy-active");
    migration_wait_status(h.p.to, "postcopy-active");
    pair_check_page(h.p.to, PAIR_PAGES - 7);
    /* And breaks once more: the file from before has all that is missing, and less of it is. */
    pause_both(&h);
    g_assert_cmpint(g_rename(whole, h.rest), ==, 0);
    finish(&h);
    halves_free(&h);
}

/* The first attempt to recover goes by a network that does not work. */
static void test_after_failure(void)
{
    Halves h = halves_paused("", "");

    qtest_qmp_ok(h.p.from, "migrate", "{'uri': 'unix:/nonexistent/x', 'resume': true}");
    migration_wait_status(h.p.from, "postcopy-recover-setup");
    migration_wait_status(h.p.from, "postcopy-paused");
    qtest_qmp_ok(h.p.to, "migrate-recover", "{'uri': 'unix:%s/x'}", h.dir);
    write_rest(&h);
    finish(&h);
    halves_free(&h);
}

/* ---- the disk ---- */

static void limit_files(QTestState *s, rlim_t bytes)
{
    const struct rlimit limit = { bytes, RLIM_INFINITY };

    g_assert_cmpint(prlimit(qtest_pid(s), RLIMIT_FSIZE, &limit, NULL), ==, 0);
}

static void test_disk_full(void)
{
    Halves h = halves_paused("", "");
    GDir *dir;

    limit_files(h.p.from, 1 << 20);
    write_rest(&h);
    check_carry(h.p.from, "failed");
    check_info(h.p.from, "error-desc", "the rest was not written: cannot write");
    dir = g_dir_open(h.dir, 0, NULL);
    g_assert_null(g_dir_read_name(dir)); /* neither whole nor in part */
    g_dir_close(dir);
    limit_files(h.p.from, RLIM_INFINITY);
    write_rest(&h);
    finish(&h);
    halves_free(&h);
}

/* No room any more, at any byte: the first, one in the middle, the front that comes last. */
static void test_no_space(void)
{
    Halves h = halves_paused("", "");
    int64_t chunks;
    GDir *dir;

    write_rest(&h);
    chunks = 1 + carry_number(h.p.from, "total-pages") / 64;
    g_unlink(h.rest);
    for (int64_t after = 0; after < chunks; after += chunks / 2) {
        qtest_qmp_ok(h.p.from, "x-fault-set", "{'name': 'carry-write', 'after': %" PRId64 "}", after);
        write_rest(&h);
        check_carry(h.p.from, "failed");
        check_info(h.p.from, "error-desc", "No space left on device");
        dir = g_dir_open(h.dir, 0, NULL);
        g_assert_null(g_dir_read_name(dir));
        g_dir_close(dir);
    }
    write_rest(&h);
    finish(&h);
    halves_free(&h);
}

/* ---- stopped, and killed, in the middle ---- */

static void wait_held(QTestState *s, const char *point)
{
    bool held = false;

    for (unsigned i = 0; !held && i < 30000; i++) {
        g_autoptr(JsonNode) node = qtest_qmp(s, "x-query-faults", NULL);
        JsonArray *list = json_node_get_array(node);

        for (unsigned k = 0; k < json_array_get_length(list); k++) {
            JsonObject *o = json_array_get_object_element(list, k);

            held |= !strcmp(json_object_get_string_member(o, "name"), point) &&
                    json_object_get_int_member(o, "held") > 0;
        }
        g_usleep(1000);
    }
    g_assert_true(held);
}

static void hold(QTestState *s, const char *point)
{
    qtest_qmp_ok(s, "x-fault-set", "{'name': '%s', 'action': 'hold', 'after': 20}", point);
}

static void let_go(QTestState *s, const char *point)
{
    qtest_qmp_ok(s, "x-fault-clear", "{'name': '%s'}", point);
}

static void test_stopped(void)
{
    Halves h = halves_paused("", "");

    hold(h.p.from, "carry-write");
    qtest_qmp_ok(h.p.from, "migrate", "{'uri': 'file:%s', 'resume': true}", h.rest);
    wait_held(h.p.from, "carry-write");
    check_carry(h.p.from, "active");
    qtest_qmp_ok(h.p.from, "migrate-pause", NULL);
    let_go(h.p.from, "carry-write");
    migration_wait_status(h.p.from, "postcopy-paused");
    check_info(h.p.from, "error-desc", "stopped by command");
    g_assert_false(g_file_test(h.rest, G_FILE_TEST_EXISTS));
    write_rest(&h);
    hold(h.p.to, "carry-read");
    feed(&h);
    wait_held(h.p.to, "carry-read");
    check_carry(h.p.to, "active");
    qtest_qmp_ok(h.p.to, "migrate-pause", NULL);
    let_go(h.p.to, "carry-read");
    migration_wait_status(h.p.to, "postcopy-paused");
    check_info(h.p.to, "error-desc", "stopped by command");
    finish(&h);
    halves_free(&h);
}

/* A chunk that the disk does not give back is like one that is damaged. */
static void test_unreadable(void)
{
    Halves h = halves_paused("", "");

    write_rest(&h);
    qtest_qmp_ok(h.p.to, "x-fault-set", "{'name': 'carry-read', 'after': 3, 'times': 2}");
    feed(&h);
    migration_wait_status(h.p.to, "postcopy-paused");
    check_info(h.p.to, "error-desc", "2 of its");
    check_info(h.p.to, "error-desc", "Input/output error");
    finish(&h);
    halves_free(&h);
}

/* The source quits as it writes, the destination as it reads: in time, and leaving nothing half done. */
static void test_quit(gconstpointer writing)
{
    Halves h = halves_paused("", "");
    g_autofree char *part = g_strconcat(h.rest, ".part", NULL);
    QTestState *s = writing ? h.p.from : h.p.to;

    if (writing) {
        qtest_qmp_ok(s, "migrate", "{'uri': 'file:%s', 'resume': true}", h.rest);
    } else {
        write_rest(&h);
        qtest_qmp_ok(s, "migrate-recover", "{'uri': 'file:%s'}", h.rest);
    }
    qtest_qmp_ok(s, "quit", NULL);
    g_assert_cmpint(qtest_wait_exit(s), ==, 0);
    g_assert_false(g_file_test(part, G_FILE_TEST_EXISTS));
    halves_free(&h);
}

/* The host dies: what is there is not called a file. */
static void test_killed(void)
{
    Halves h = halves_paused("", "");
    g_autofree char *part = g_strconcat(h.rest, ".part", NULL);

    qtest_qmp_ok(h.p.from, "x-fault-set",
                 "{'name': 'carry-write', 'action': 'kill', 'after': 20}");
    qtest_qmp_ok(h.p.from, "migrate", "{'uri': 'file:%s', 'resume': true}", h.rest);
    qtest_wait_exit(h.p.from);
    g_assert_false(g_file_test(h.rest, G_FILE_TEST_EXISTS));
    refused_file(h.p.to, part, "does not begin with");
    check_unharmed(&h);
    qtest_kill(h.p.from);
    h.p.from = NULL;
    g_unlink(part);
    qtest_quit(h.p.to);
    h.p.to = NULL;
    g_free(h.p.uri);
    g_assert_cmpint(g_rmdir(h.dir), ==, 0);
    g_free(h.dir);
    g_free(h.rest);
    g_free(h.received);
}

/* ---- while the main loop waits for a page ---- */

/* Wait until the file has this in it; its text (g_free). */
static char *wait_log(const char *log, const char *what)
{
    char *text = NULL;

    for (unsigned i = 0; i < 30000; i++) {
        g_free(text);
        g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
        if (strstr(text, what)) {
            return text;
        }
        g_usleep(1000);
    }
    g_error("'%s' has not come to the log", what);
}

/*
 * A command reads a page that is not there, in the pause; the file is given on another monitor,
 * out of band, and that page is the first one.
 */
static void test_waiting(void)
{
    g_autofree char *dir = g_dir_make_tmp("ferry-carry-XXXXXX", NULL);
    g_autofree char *monitor = g_build_filename(dir, "qmp", NULL);
    g_autofree char *log = g_build_filename(dir, "log", NULL);
    g_autofree char *args = g_strdup_printf(
        "-chardev socket,id=q,path=%s,server=on,wait=off -mon chardev=q,mode=control -D %s", monitor,
        log);
    g_autofree char *read = NULL, *page = NULL, *fault = NULL, *text = NULL, *want = NULL;
    uint64_t at = (PAIR_PAGES - 9) * PAIR_PAGE;
    Halves h = halves_paused("", args);
    Oob oob = oob_open(monitor);
    g_autoptr(JsonObject) reply = NULL;
    const char *placed;

    write_rest(&h);
    qtest_qmp_ok(h.p.to, "trace-event-set-state", "{'name': 'postcopy_*', 'enable': true}");
    page = qtest_path(h.p.to, "page");
    read = g_strdup_printf("{'execute': 'pmemsave', 'arguments': {'val': %" PRIu64 ", 'size': 8, "
                           "'filename': '%s'}}\n", at, page);
    qtest_qmp_send_raw(h.p.to, read);
    fault = wait_log(log, "postcopy_fault");
    want = g_strdup_printf("{'exec-oob': 'migrate-recover', 'arguments': {'uri': 'file:%s'}}\n",
                           h.rest);
    oob_send(&oob, want);
    oob_line(&oob, "return");
    reply = qtest_qmp_receive(h.p.to);
    g_assert_true(json_object_has_member(reply, "return"));
    migration_wait_status(h.p.to, "completed");
    pair_check_all(h.p.to);
    text = wait_log(log, "postcopy_place");
    placed = strstr(text, "postcopy_place");
    /* In the last chunk of memory, which without that would have been the last one. */
    g_assert_cmphex(g_ascii_strtoull(strstr(placed, "0x"), NULL, 16), >=, (at & ~0x3ffffULL));
    oob_close(&oob);
    halves_free(&h);
    g_unlink(log);
    g_unlink(monitor);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/carry/whole", test_whole);
    g_test_add_func("/carry/spellings", test_spellings);
    g_test_add_func("/carry/received", test_received);
    g_test_add_func("/carry/refused", test_refused);
    g_test_add_data_func("/carry/other-guest", NULL, test_other);
    g_test_add_data_func("/carry/other-attempt", "same", test_other);
    g_test_add_data_func("/carry/damaged", NULL, test_damaged);
    g_test_add_data_func("/carry/cut", "cut", test_damaged);
    g_test_add_func("/carry/analyze", test_analyze);
    g_test_add_func("/carry/network-again", test_network_again);
    g_test_add_func("/carry/after-failure", test_after_failure);
    g_test_add_func("/carry/disk-full", test_disk_full);
    g_test_add_func("/carry/no-space", test_no_space);
    g_test_add_func("/carry/stopped", test_stopped);
    g_test_add_func("/carry/unreadable", test_unreadable);
    g_test_add_data_func("/carry/quit/writing", "writing", test_quit);
    g_test_add_data_func("/carry/quit/reading", NULL, test_quit);
    g_test_add_func("/carry/killed", test_killed);
    g_test_add_func("/carry/waiting", test_waiting);
    return g_test_run();
}
