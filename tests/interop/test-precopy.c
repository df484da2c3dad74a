/*
 * Precopy between Ferry and a stock QEMU, both directions, memory compared byte for byte.
 * The stock emulator is $STOCK_QEMU, or qemu-system-x86_64 of the PATH.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
    { "1GiB", 1024, { NULL }, "" },
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
 * A stock emulator without CPU has no way to write to its memory but a reset, which loads
 * these few bytes at the end of one page and the start of the next.
 */
#define LOADERS 64
#define LOADED 16
#define XBZRLE_MIB 8

static char *loader_args(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "loaded", NULL);
    GString *args = g_string_new(NULL);

    g_assert_true(g_file_set_contents(path, "sixteen bytes..!", LOADED, NULL));
    for (unsigned i = 0; i < LOADERS; i++) {
        g_string_append_printf(args, " -device loader,file=%s,addr=0x%x,force-raw=on", path,
                               (i * 16 + 1) * 4096 - LOADED / 2);
    }
    return g_string_free(args, false);
}

/* The other bytes of these pages are changed in the file, which by itself nobody notices. */
static void change_loaded(const FilePair *p, unsigned n)
{
    int fd = open(p->from_mem, O_RDWR | O_CLOEXEC);
    size_t size = (size_t)XBZRLE_MIB << 20;
    uint64_t *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    g_assert_true(mem != MAP_FAILED);
    for (unsigned i = 0; i < 2 * LOADERS; i++) {
        for (unsigned word = 8; word < 500; word += 8) {
            mem[(i / 2 * 16 + i % 2) * 512 + word] = n + 1;
        }
    }
    munmap(mem, size);
    close(fd);
    qtest_qmp_ok(p->from, "system_reset", NULL);
}

static void change(const FilePair *p, bool from_stock, unsigned n)
{
    if (from_stock) {
        change_loaded(p, n);
        return;
    }
    for (unsigned i = 0; i < 64; i++) {
        qtest_writeq(p->from, ((i * 32 + n % 3) << 12) + n % 500 * 8, n + 1);
    }
}

/*
 * Writes a little to many pages, again and again, until that many went as differences.  False:
 * the migration went on to its end meanwhile, and with it the last writes may have been lost.
 */
static bool change_pages(const FilePair *p, bool from_stock)
{
    QTestState *s = p->from;
    /* Of the second and third pass: neither is over before the next pages are changed. */
    int whole = 1000000, differences = from_stock ? 300000 : 20000, now = 0;
    int64_t deadline = g_get_monotonic_time() + QTEST_TIMEOUT * G_USEC_PER_SEC;

    for (unsigned n = 0; g_get_monotonic_time() < deadline; n++) {
        g_autoptr(JsonObject) info = NULL;

        change(p, from_stock, n);
        info = qtest_qmp_object(s, "query-migrate", NULL);
        if (strcmp(json_object_get_string_member(info, "status"), "active")) {
            return false;
        }
        if (json_object_get_int_member(json_object_get_object_member(info, "xbzrle-cache"),
                                       "pages") >= 100) {
            return true;
        }
        int64_t pass = json_object_get_int_member(json_object_get_object_member(info, "ram"),
                                                  "dirty-sync-count");
        int want = pass > 2 ? differences : pass > 1 ? whole : 0;

        if (want != now) {
            qtest_qmp_ok(s, "migrate-set-parameters", "{'max-bandwidth': %d}", want);
            now = want;
        }
    }
    g_error("no page went as a difference");
}

static FilePair xbzrle_pair(bool from_stock)
{
    g_autofree char *dir = NULL, *args = NULL;
    FilePair p;

    if (!from_stock) {
        return file_pair_new(NULL, stock, "none", XBZRLE_MIB, "");
    }
    dir = g_dir_make_tmp("ferry-xbzrle-XXXXXX", NULL);
    args = loader_args(dir);
    p = file_pair_source_of(stock, "none", XBZRLE_MIB, args);
    file_pair_destination(&p, NULL, "none", "defer", "");
    g_autofree char *path = g_build_filename(dir, "loaded", NULL);
    g_unlink(path);
    g_rmdir(dir);
    return p;
}

/* Pages are changed a little while the source is busy: the other one applies the differences. */
static bool try_xbzrle(bool from_stock)
{
    FilePair p = xbzrle_pair(from_stock);
    g_autofree char *uri = make_uri(&p, false);
    bool counts;

    mig_cap(p.from, "xbzrle", true);
    mig_cap(p.to, "xbzrle", true);
    qtest_qmp_ok(p.from, "migrate-set-parameters",
                 "{'max-bandwidth': 8000000, 'downtime-limit': 1}");
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    json_object_unref(mig_wait(p.from, "active"));
    counts = change_pages(&p, from_stock);
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

static void test_xbzrle(gconstpointer from_stock)
{
    unsigned tries = 0;

    if (!have_stock()) {
        return;
    }
    while (!try_xbzrle(from_stock)) {
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

/* A stock peer compares no digests: it takes the guest all the same, and the source says what is. */
static void test_verify_to_stock(gconstpointer postcopy_ram)
{
    FilePair p;
    g_autofree char *uri = NULL;
    g_autoptr(JsonObject) info = NULL;
    JsonObject *verify;

    if (!have_stock()) {
        return;
    }
    p = file_pair_new(NULL, stock, "none", 32, "");
    uri = make_uri(&p, false);
    mig_cap(p.from, "x-verify", true);
    if (postcopy_ram) {
        mig_cap(p.from, "postcopy-ram", true);
        mig_cap(p.to, "postcopy-ram", true);
    }
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    info = mig_wait(p.from, "completed");
    json_object_unref(mig_wait(p.to, "completed"));
    verify = json_object_get_object_member(info, "x-verify");
    g_assert_cmpstr(json_object_get_string_member(verify, "status"), ==, "unsupported");
    file_pair_compare(&p);
    file_pair_free(&p);
}

/* Memory in a file that both have is not sent. */
static void test_ignore_shared(gconstpointer from_stock)
{
    FilePair p;
    g_autofree char *uri = NULL;
    g_autoptr(JsonObject) info = NULL;

    if (!have_stock()) {
        return;
    }
    p = file_pair_source_of(from_stock ? stock : NULL, "none", 32, "");
    uri = make_uri(&p, false);
    qtest_use_binary(from_stock ? NULL : stock);
    p.to = qtest_init_qmp("%s -machine none,memory-backend=m -m 32M -object "
                          "memory-backend-file,id=m,size=32M,mem-path=%s,share=on -incoming defer",
                          from_stock ? "" : "-nodefaults -accel tcg", p.from_mem);
    qtest_use_binary(NULL);
    mig_cap(p.from, "x-ignore-shared", true);
    mig_cap(p.to, "x-ignore-shared", true);
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    info = qtest_qmp_object(p.from, "query-migrate", NULL);
    g_assert_cmpint(json_object_get_int_member(json_object_get_object_member(info, "ram"),
                                               "transferred"), <, 16384);
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
    g_test_add_data_func("/interop/precopy/ignore-shared/from-stock", "", test_ignore_shared);
    g_test_add_data_func("/interop/precopy/ignore-shared/to-stock", NULL, test_ignore_shared);
    g_test_add_data_func("/interop/precopy/file/from-stock", "", test_through_file);
    g_test_add_data_func("/interop/precopy/file/to-stock", NULL, test_through_file);
    g_test_add_func("/interop/precopy/snapshot/to-stock", test_snapshot_to_stock);
    g_test_add_data_func("/interop/precopy/verify/to-stock", NULL, test_verify_to_stock);
    g_test_add_data_func("/interop/precopy/verify/to-stock-postcopy-ram", "", test_verify_to_stock);
    g_test_add_data_func("/interop/precopy/xbzrle/to-stock", NULL, test_xbzrle);
    g_test_add_data_func("/interop/precopy/xbzrle/from-stock", "", test_xbzrle);
    g_test_add_func("/interop/precopy/multifd-refused", test_multifd_refused);
    return g_test_run();
}
