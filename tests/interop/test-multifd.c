/*
 * multifd between Ferry and a stock QEMU, both directions, memory compared byte for byte.
 * The stock emulator is $STOCK_QEMU, or qemu-system-x86_64 of the PATH.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration-file-ram.h"
#include "stock.h"

/*
 * The stock one is so old that it knows no MULTIFD_FLUSH.  That is found out on either side, or
 * may be said.
 */
#define OLD_PEER "-global migration.multifd-flush-after-each-section=on"

typedef struct Case {
    const char *name;
    const char *compression;
    unsigned channels, mib;
    const char *detection; /* zero-page-detection of a Ferry source */
    bool tcp, slow;        /* slow: a bandwidth limit makes it several sections */
    bool told;             /* Ferry is told how old its peer is */
} Case;

static const Case cases[] = {
    { "none", "none", 2, 64, "multifd" },
    { "tcp", "none", 2, 64, "multifd", .tcp = true },
    { "channels", "none", 7, 32, "legacy" },
    { "one-channel", "none", 1, 32, "none" },
    { "legacy", "none", 3, 32, "legacy" },
    { "told", "none", 2, 32, "multifd", .told = true },
    { "sections", "none", 2, 64, "multifd", .slow = true },
    { "zlib", "zlib", 2, 64, "multifd" },
    { "zlib-tcp", "zlib", 3, 32, "none", .tcp = true },
    { "zstd", "zstd", 2, 64, "multifd" },
    { "zstd-sections", "zstd", 2, 64, "legacy", .slow = true },
};

static char *make_uri(FilePair *p, bool tcp)
{
    if (tcp) {
        return g_strdup_printf("tcp:127.0.0.1:%d", g_random_int_range(20000, 60000));
    }
    g_autofree char *path = file_pair_path(p, "socket");
    return g_strdup_printf("unix:%s", path);
}

static void set_up(QTestState *s, const Case *c)
{
    mig_cap(s, "multifd", true);
    qtest_qmp_ok(s, "migrate-set-parameters",
                 "{'multifd-channels': %u, 'multifd-compression': '%s'}", c->channels,
                 c->compression);
}

static void run_case(const Case *c, bool from_stock)
{
    FilePair p;
    g_autofree char *uri = NULL;

    p = file_pair_source_of(from_stock ? stock : NULL, "none", c->mib,
                            c->told && !from_stock ? OLD_PEER : "");
    file_pair_destination(&p, from_stock ? NULL : stock, "none", "defer", "");
    uri = make_uri(&p, c->tcp);
    set_up(p.from, c);
    set_up(p.to, c);
    if (!from_stock) {
        qtest_qmp_ok(p.from, "migrate-set-parameters", "{'zero-page-detection': '%s'}",
                     c->detection);
    }
    if (c->slow) {
        qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 100000000}");
    }
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    stock_find();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *to = g_strdup_printf("/interop/multifd/to-stock/%s", cases[i].name);
        g_autofree char *from = g_strdup_printf("/interop/multifd/from-stock/%s", cases[i].name);

        g_test_add_data_func(to, &cases[i], test_to_stock);
        g_test_add_data_func(from, &cases[i], test_from_stock);
    }
    return g_test_run();
}
