/*
 * Precopy between Ferry and a stock QEMU, both directions, memory compared byte for byte.
 * The stock emulator is $STOCK_QEMU, or qemu-system-x86_64 of the PATH.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "migration-file-ram.h"
#include "stock.h"

typedef struct Case {
    const char *name;
    unsigned mib;
    const char *caps[3];   /* on both sides */
    const char *more;      /* arguments of both */
    bool tcp;
} Case;

static const Case cases[] = {
    { "plain", 64, { NULL }, "" },
    { "tcp", 64, { NULL }, "", true },
    { "return-path", 64, { "return-path" }, "" },
    { "paused", 16, { NULL }, "-S" },
    { "pause-before-switchover", 16, { "pause-before-switchover", "return-path" }, "" },
    { "postcopy-ram-unused", 64, { "postcopy-ram" }, "" },
    { "uuid", 16, { "validate-uuid" }, "-uuid 00112233-4455-6677-8899-aabbccddeeff" },
    { "no-footers", 16, { NULL },
      "-global migration.send-section-footer=off -global migration.send-configuration=off" },
    { "large", 512, { NULL }, "" },
};

/* A port that is free now: 7.2 does not tell which one it took for port 0 in time. */
static char *make_uri(FilePair *p, bool tcp)
{
    if (tcp) {
        return g_strdup_printf("tcp:127.0.0.1:%d", g_random_int_range(20000, 60000));
    }
    g_autofree char *path = file_pair_path(p, "socket");
    return g_strdup_printf("unix:%s", path);
}

static void run_case(const Case *c, bool from_stock)
{
    FilePair p = file_pair_new(from_stock ? stock : NULL, from_stock ? NULL : stock, "none",
                               c->mib, c->more);
    g_autofree char *uri = make_uri(&p, c->tcp);

    for (int i = 0; c->caps[i]; i++) {
        mig_cap(p.from, c->caps[i], true);
        mig_cap(p.to, c->caps[i], true);
    }
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    if (c->caps[0] && !strcmp(c->caps[0], "pause-before-switchover")) {
        json_object_unref(mig_wait(p.from, "pre-switchover"));
        qtest_qmp_ok(p.from, "migrate-continue", "{'state': 'pre-switchover'}");
    }
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

static void test_to_stock(gconstpointer c)
{
    if (have_stock()) {
        run_case(c, false);
    }
}

static void test_from_stock(gconstpointer c)
{
    if (have_stock()) {
        run_case(c, true);
    }
}

/*
 * Writes a little to many pages, again and again, until that many went as differences.  False:
 * the migration went on to its end meanwhile, and with it the last writes may have been lost.
 */
static bool change_pages(QTestState *s)
{
    bool slow = false;

    for (unsigned n = 0; n < 2000; n++) {
        g_autoptr(JsonObject) info = NULL;

        for (unsigned i = 0; i < 256; i++) {
            qtest_writeq(s, ((i * 16 + n % 3) << 12) + n % 500 * 8, n + 1);
        }
        info = qtest_qmp_object(s, "query-migrate", NULL);
        if (strcmp(json_object_get_string_member(info, "status"), "active")) {
            return false;
        }
        if (json_object_get_int_member(json_object_get_object_member(info, "xbzrle-cache"),
                                       "pages") >= 100) {
            return true;
        }
        if (!slow && json_object_get_int_member(json_object_get_object_member(info, "ram"),
                                                "dirty-sync-count") > 1) {
            /* Differences are short: only so are they sent more slowly than made. */
            qtest_qmp_ok(s, "migrate-set-parameters", "{'max-bandwidth': 300000}");
            slow = true;
        }
    }
    g_error("no page went as a difference");
}

/* Pages are changed a little while the source is busy: the stock one applies the differences. */
static bool try_xbzrle(void)
{
    FilePair p = file_pair_new(NULL, stock, "none", 16, "");
    g_autofree char *uri = make_uri(&p, false);
    bool counts;

    mig_cap(p.from, "xbzrle", true);
    mig_cap(p.to, "xbzrle", true);
    qtest_qmp_ok(p.from, "migrate-set-parameters",
                 "{'max-bandwidth': 20000000, 'downtime-limit': 0}");
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    json_object_unref(mig_wait(p.from, "active"));
    counts = change_pages(p.from);
    qtest_qmp_ok(p.from, "migrate-set-parameters",
                 "{'max-bandwidth': 0, 'downtime-limit': 2000}");
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    if (counts) {
        file_pair_compare(&p);
    }
    file_pair_free(&p);
    return counts;
}

static void test_xbzrle(void)
{
    unsigned tries = 0;

    if (!have_stock()) {
        return;
    }
    while (!try_xbzrle()) {
        g_assert_cmpuint(++tries, <, 10);
    }
}

/* Settings that this build lacks are named when a stock source uses them. */
static void test_multifd_refused(void)
{
    FilePair p;
    g_autofree char *err = NULL, *uri = NULL;

    if (!have_stock()) {
        return;
    }
    p = file_pair_new(stock, NULL, "none", 16, "");
    uri = make_uri(&p, false);
    mig_cap(p.from, "multifd", true);
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    g_assert_cmpint(qtest_wait_exit(p.to), ==, 1);
    err = qtest_stderr(p.to);
    g_assert_nonnull(strstr(err, "offset"));
    qtest_kill(p.to);
    p.to = NULL;
    file_pair_free(&p);
}

/* Memory written out in the background is a stream like any other. */
static void test_snapshot_to_stock(void)
{
    FilePair p;
    g_autofree char *path = NULL;

    if (!have_stock()) {
        return;
    }
    p = file_pair_new(NULL, stock, "none", 32, "");
    path = file_pair_path(&p, "stream");
    mig_cap(p.from, "background-snapshot", true);
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'file:%s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'exec:cat %s'}", path);
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

/* From one to the other through a file that both read. */
static void test_through_file(gconstpointer from_stock)
{
    FilePair p;
    g_autofree char *path = NULL;

    if (!have_stock()) {
        return;
    }
    p = file_pair_new(from_stock ? stock : NULL, from_stock ? NULL : stock, "none", 32, "");
    path = file_pair_path(&p, "stream");
    qtest_qmp_ok(p.from, "migrate", "{'uri': 'exec:cat > %s'}", path);
    json_object_unref(mig_wait(p.from, "completed"));
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': 'exec:cat %s'}", path);
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    stock_find();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *to = g_strdup_printf("/interop/precopy/to-stock/%s", cases[i].name);
        g_autofree char *from = g_strdup_printf("/interop/precopy/from-stock/%s", cases[i].name);

        g_test_add_data_func(to, &cases[i], test_to_stock);
        g_test_add_data_func(from, &cases[i], test_from_stock);
    }
    g_test_add_data_func("/interop/precopy/file/from-stock", "", test_through_file);
    g_test_add_data_func("/interop/precopy/file/to-stock", NULL, test_through_file);
    g_test_add_func("/interop/precopy/snapshot/to-stock", test_snapshot_to_stock);
    g_test_add_func("/interop/precopy/xbzrle/to-stock", test_xbzrle);
    g_test_add_func("/interop/precopy/multifd-refused", test_multifd_refused);
    return g_test_run();
}
