/*
 * TLS between Ferry and a stock QEMU, both directions: keys and certificates, precopy and
 * postcopy, and who is refused.  The stock emulator is $STOCK_QEMU, or qemu-system-x86_64 of
 * the PATH.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration-file-ram.h"
#include "migration-pair.h"
#include "migration-tls.h"
#include "stock.h"

static TlsDirs *dirs;

typedef struct Case {
    const char *name, *kind;
    bool tcp;
    const char *cap;
    const char *priority; /* of Ferry's side, NULL: default */
    unsigned mib;
    unsigned channels;    /* of multifd, 0: without */
    const char *compression;
} Case;

static const Case cases[] = {
    { "psk-unix", "psk", false, NULL, NULL, 32 },
    { "psk-return-path", "psk", false, "return-path", NULL, 32 },
    { "anon-unix", "anon", false, NULL, NULL, 32 },
    { "x509-tcp", "x509", true, NULL, NULL, 32 },
    { "x509-unix", "x509", false, NULL, NULL, 32 },
    { "x509-return-path", "x509", true, "return-path", NULL, 128 },
    { "x509-tls12", "x509", true, "return-path", "NORMAL:-VERS-TLS1.3", 32 },
    { "multifd-psk", "psk", false, NULL, NULL, 32, 2, "none" },
    { "multifd-x509", "x509", true, "return-path", NULL, 64, 3, "none" },
    { "multifd-x509-zstd", "x509", false, NULL, NULL, 32, 2, "zstd" },
    { "multifd-x509-zlib", "x509", true, NULL, "NORMAL:-VERS-TLS1.3", 32, 4, "zlib" },
};

static const char *dir_of(const char *kind)
{
    return !strcmp(kind, "psk") ? dirs->psk : !strcmp(kind, "x509") ? dirs->x509 : NULL;
}

static void use_priority(QTestState *s, const Case *c, bool server)
{
    qtest_qmp_ok(s, "object-add", "{'qom-type': 'tls-creds-%s', 'id': 'tls1', 'endpoint': '%s', "
                 "'dir': '%s', 'priority': '%s'}", c->kind, server ? "server" : "client",
                 dir_of(c->kind), c->priority);
    qtest_qmp_ok(s, "migrate-set-parameters", "{'tls-creds': 'tls1'}");
}

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
                               c->mib, "");
    g_autofree char *uri = make_uri(&p, c->tcp);

    for (int i = 0; c->channels && i < 2; i++) {
        mig_cap(i ? p.to : p.from, "multifd", true);
        qtest_qmp_ok(i ? p.to : p.from, "migrate-set-parameters",
                     "{'multifd-channels': %u, 'multifd-compression': '%s'}", c->channels,
                     c->compression);
    }
    tls_use(p.from, c->kind, dir_of(c->kind), false);
    tls_use(p.to, c->kind, dir_of(c->kind), true);
    if (c->priority) {
        use_priority(from_stock ? p.to : p.from, c, from_stock);
    }
    if (!c->tcp) {
        qtest_qmp_ok(p.from, "migrate-set-parameters", "{'tls-hostname': '" TLS_HOST "'}");
    }
    if (c->cap) {
        mig_cap(p.from, c->cap, true);
        mig_cap(p.to, c->cap, true);
    }
    file_pair_migrate(&p, uri, uri);
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

static void postcopy(const char *from, const char *to, const char *to_args, bool preempt)
{
    Pair p = pair_new_with(from, "", to, to_args);

    if (preempt) {
        migration_set_cap(p.from, "postcopy-preempt");
        migration_set_cap(p.to, "postcopy-preempt");
    }

    tls_use(p.from, "x509", dirs->x509, false);
    tls_use(p.to, "x509", dirs->x509, true);
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'tls-hostname': '" TLS_HOST "'}");
    p.reads = 16;
    pair_run(&p);
}

static void test_postcopy_to_stock(gconstpointer preempt)
{
    if (have_stock()) {
        postcopy(NULL, stock, "", preempt);
    }
}

static void test_postcopy_from_stock(gconstpointer preempt)
{
    if (have_stock()) {
        postcopy(stock, NULL,
                 "-object memory-backend-ram,id=m,size=32M -machine memory-backend=m", preempt);
    }
}

static char *failed_desc(QTestState *s)
{
    g_autoptr(JsonObject) info = mig_wait(s, "failed");

    return g_strdup(json_object_get_string_member_with_default(info, "error-desc", ""));
}

/* Each side refuses the other: the source runs on, and Ferry knows why. */
static void test_refused(gconstpointer from_stock)
{
    FilePair p;
    g_autofree char *uri = NULL, *desc = NULL, *said = NULL;

    if (!have_stock()) {
        return;
    }
    p = file_pair_new(from_stock ? stock : NULL, from_stock ? NULL : stock, "none", 16, "");
    uri = make_uri(&p, true);
    tls_use(p.from, "x509", dirs->bare, false);
    tls_use(p.to, "x509", dirs->x509, true);
    mig_cap(p.from, "return-path", true);
    mig_cap(p.to, "return-path", true);
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", uri);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    desc = failed_desc(p.from);
    if (from_stock) {
        /* It says so when it is done with the connection; the source may know before that. */
        for (int i = 0; i < QTEST_TIMEOUT * 100; i++) {
            g_free(said);
            said = qtest_stderr(p.to);
            if (strstr(said, "the peer sent no certificate")) {
                break;
            }
            g_usleep(10000);
        }
        g_assert_nonnull(strstr(said, "the peer sent no certificate"));
    } else {
        g_assert_nonnull(strstr(desc, "TLS"));
    }
    qtest_wait_run_state(p.from, "running");
    file_pair_free(&p);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    stock_find();
    dirs = tls_dirs_new();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *to = g_strdup_printf("/interop/tls/to-stock/%s", cases[i].name);
        g_autofree char *from = g_strdup_printf("/interop/tls/from-stock/%s", cases[i].name);

        g_test_add_data_func(to, &cases[i], test_to_stock);
        g_test_add_data_func(from, &cases[i], test_from_stock);
    }
    g_test_add_data_func("/interop/tls/postcopy/to-stock", NULL, test_postcopy_to_stock);
    g_test_add_data_func("/interop/tls/postcopy/from-stock", NULL, test_postcopy_from_stock);
    g_test_add_data_func("/interop/tls/preempt/to-stock", "", test_postcopy_to_stock);
    g_test_add_data_func("/interop/tls/preempt/from-stock", "", test_postcopy_from_stock);
    g_test_add_data_func("/interop/tls/refused/to-stock", NULL, test_refused);
    g_test_add_data_func("/interop/tls/refused/from-stock", "", test_refused);
    ret = g_test_run();
    tls_dirs_free(dirs);
    return ret;
}
