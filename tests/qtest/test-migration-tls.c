/*
 * Migration over TLS: every kind of credentials over every kind of socket, precopy and
 * postcopy; who is refused, what both sides say then, and that the source runs on and can try
 * again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "migration-file-ram.h"
#include "migration-pair.h"
#include "migration-tls.h"
#include "relay.h"

#define MIB 16

static TlsDirs *dirs;

/* "unix", "tcp" or "fd": let `to` listen; the URI for `from` (g_free). */
static char *listen_on(FilePair *p, const char *kind)
{
    g_autofree char *path = file_pair_path(p, "socket");
    int pair[2];

    if (!strcmp(kind, "tcp")) {
        qtest_qmp_ok(p->to, "migrate-incoming", "{'uri': 'tcp:127.0.0.1:0'}");
        g_autoptr(JsonObject) info = qtest_qmp_object(p->to, "query-migrate", NULL);
        JsonArray *list = json_object_get_array_member(info, "socket-address");
        JsonObject *a = json_array_get_object_element(list, 0);

        return g_strdup_printf("tcp:127.0.0.1:%s", json_object_get_string_member(a, "port"));
    }
    if (!strcmp(kind, "fd")) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
        json_node_unref(qtest_qmp_fd(p->from, pair[0], "getfd", "{'fdname': 'channel'}"));
        json_node_unref(qtest_qmp_fd(p->to, pair[1], "getfd", "{'fdname': 'channel'}"));
        close(pair[0]);
        close(pair[1]);
        qtest_qmp_ok(p->to, "migrate-incoming", "{'uri': 'fd:channel'}");
        return g_strdup("fd:channel");
    }
    char *uri = g_strdup_printf("unix:%s", path);
    qtest_qmp_ok(p->to, "migrate-incoming", "{'uri': '%s'}", uri);
    return uri;
}

static void set(QTestState *s, const char *param, const char *value)
{
    qtest_qmp_ok(s, "migrate-set-parameters", "{'%s': '%s'}", param, value);
}

static void complete(FilePair *p, const char *uri)
{
    qtest_qmp_ok(p->from, "migrate", "{'uri': '%s'}", uri);
    json_object_unref(mig_wait(p->from, "completed"));
    json_object_unref(mig_wait(p->to, "completed"));
    file_pair_compare(p);
}

/* ---- what works ---- */

typedef struct Case {
    const char *name, *channel, *kind;
    const char *hostname; /* tls-hostname, NULL: that of the address */
    const char *cap;
    const char *authz;    /* members of an authz object of the destination, NULL: none */
} Case;

static const Case cases[] = {
    { "psk/unix", "unix", "psk" },
    { "psk/tcp", "tcp", "psk" },
    { "psk/fd", "fd", "psk" },
    { "psk/return-path", "unix", "psk", NULL, "return-path" },
    { "psk/authz", "unix", "psk", NULL, NULL, "'qom-type': 'authz-simple', 'identity': 'qemu'" },
    { "anon/unix", "unix", "anon" },
    { "x509/unix", "unix", "x509", TLS_HOST },
    { "x509/tcp", "tcp", "x509" },
    { "x509/tcp-hostname", "tcp", "x509", TLS_HOST },
    { "x509/fd", "fd", "x509", TLS_HOST },
    { "x509/return-path", "tcp", "x509", NULL, "return-path" },
    { "x509/authz-simple", "tcp", "x509", NULL, NULL,
      "'qom-type': 'authz-simple', 'identity': '" TLS_CLIENT "'" },
    { "x509/authz-list", "tcp", "x509", NULL, "return-path",
      "'qom-type': 'authz-list', 'policy': 'deny', 'rules': ["
      "{'match': 'O=Ferry', 'policy': 'deny'}, "
      "{'match': 'O=Ferry,CN=*', 'policy': 'allow', 'format': 'glob'}]" },
};

static void use(FilePair *p, const char *kind)
{
    const char *dir = !strcmp(kind, "x509") ? dirs->x509 : !strcmp(kind, "psk") ? dirs->psk : NULL;

    tls_use(p->from, kind, dir, false);
    tls_use(p->to, kind, dir, true);
}

static void test_works(gconstpointer opaque)
{
    const Case *c = opaque;
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *uri = NULL;

    use(&p, c->kind);
    if (c->hostname) {
        set(p.from, "tls-hostname", c->hostname);
    }
    if (c->cap) {
        mig_cap(p.from, c->cap, true);
        mig_cap(p.to, c->cap, true);
    }
    if (c->authz) {
        qtest_qmp_ok(p.to, "object-add", "{'id': 'authz0', %s}", c->authz);
        set(p.to, "tls-authz", "authz0");
    }
    uri = listen_on(&p, c->channel);
    complete(&p, uri);
    file_pair_free(&p);
}

/* Objects and parameters from the command line; objects may go while they are used. */
static void test_command_line(void)
{
    FilePair p = file_pair_source("none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "socket"), *more = NULL;
    g_autofree char *incoming = g_strdup_printf("unix:%s", path), *rules = NULL;

    tls_use(p.from, "x509", dirs->x509, false);
    set(p.from, "tls-hostname", TLS_HOST);
    rules = file_pair_path(&p, "rules");
    g_assert_true(g_file_set_contents(rules, "{\"rules\": [{\"match\": \"" TLS_CLIENT "\", "
                                      "\"policy\": \"allow\"}]}", -1, NULL));
    more = g_strdup_printf("-object tls-creds-x509,id=t,endpoint=server,dir=%s "
                           "-object authz-list-file,id=a,filename=%s "
                           "-global migration.tls-creds=t -global migration.tls-authz=a",
                           dirs->x509, rules);
    file_pair_destination(&p, NULL, "none", incoming, more);
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 4000000}");
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", incoming);
    json_object_unref(mig_wait(p.from, "active"));
    qtest_qmp_ok(p.from, "object-del", "{'id': 'tls0'}");
    qtest_qmp_ok(p.to, "object-del", "{'id': 't'}");
    qtest_qmp_ok(p.from, "migrate-set-parameters", "{'max-bandwidth': 0}");
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

static void test_postcopy(gconstpointer kind)
{
    Pair p = pair_new("", "");

    tls_use(p.from, kind, !strcmp(kind, "psk") ? dirs->psk : dirs->x509, false);
    tls_use(p.to, kind, !strcmp(kind, "psk") ? dirs->psk : dirs->x509, true);
    set(p.from, "tls-hostname", TLS_HOST);
    p.reads = 16;
    pair_run(&p);
}

static void test_preempt(void)
{
    Pair p = pair_new("", "");

    migration_set_cap(p.from, "postcopy-preempt");
    migration_set_cap(p.to, "postcopy-preempt");
    tls_use(p.from, "x509", dirs->x509, false);
    tls_use(p.to, "x509", dirs->x509, true);
    set(p.from, "tls-hostname", TLS_HOST);
    p.reads = 16;
    pair_run(&p);
}

/* Every channel is encrypted and known by its first bytes; the client of each is checked. */
typedef struct Multifd {
    const char *name, *channel, *kind, *compression, *cap;
    unsigned channels;
} Multifd;

static const Multifd multifd_cases[] = {
    { "psk", "unix", "psk", "none", NULL, 2 },
    { "psk-tcp", "tcp", "psk", "zlib", "return-path", 3 },
    { "x509", "unix", "x509", "none", "return-path", 2 },
    { "x509-tcp", "tcp", "x509", "zstd", NULL, 5 },
};

static void use_multifd(FilePair *p, unsigned channels, const char *compression)
{
    for (int i = 0; i < 2; i++) {
        mig_cap(i ? p->to : p->from, "multifd", true);
        qtest_qmp_ok(i ? p->to : p->from, "migrate-set-parameters",
                     "{'multifd-channels': %u, 'multifd-compression': '%s'}", channels,
                     compression);
    }
}

static void test_multifd(gconstpointer opaque)
{
    const Multifd *c = opaque;
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *uri = NULL;
    g_autoptr(JsonObject) info = NULL;

    use(&p, c->kind);
    set(p.from, "tls-hostname", TLS_HOST);
    use_multifd(&p, c->channels, c->compression);
    if (!strcmp(c->kind, "x509")) {
        qtest_qmp_ok(p.to, "object-add",
                     "{'qom-type': 'authz-simple', 'id': 'a', 'identity': '" TLS_CLIENT "'}");
        set(p.to, "tls-authz", "a");
    }
    if (c->cap) {
        mig_cap(p.from, c->cap, true);
        mig_cap(p.to, c->cap, true);
    }
    uri = listen_on(&p, c->channel);
    complete(&p, uri);
    info = qtest_qmp_object(p.from, "query-migrate", NULL);
    g_assert_cmpint(json_object_get_int_member(json_object_get_object_member(info, "ram"),
                                               "multifd-bytes"), >, 1 << 20);
    file_pair_free(&p);
}

/* Precopy on three channels, then the switch, and the preempt channel that says nothing. */
static void test_multifd_postcopy(void)
{
    Pair p = pair_new("", "");

    for (int i = 0; i < 2; i++) {
        migration_set_cap(i ? p.to : p.from, "multifd");
        migration_set_cap(i ? p.to : p.from, "postcopy-preempt");
        set(i ? p.to : p.from, "multifd-compression", "none");
        qtest_qmp_ok(i ? p.to : p.from, "migrate-set-parameters", "{'multifd-channels': 3}");
    }
    tls_use(p.from, "x509", dirs->x509, false);
    tls_use(p.to, "x509", dirs->x509, true);
    set(p.from, "tls-hostname", TLS_HOST);
    p.reads = 16;
    pair_run(&p);
}

/* The network is cut in postcopy: the new channel is encrypted, too, and its client checked. */
static void test_recover(gconstpointer preempt)
{
    Pair p = pair_new("", "");
    g_autofree char *near = qtest_path(p.from, "relay"), *far = qtest_path(p.to, "far");
    g_autofree char *listen = g_strdup_printf("unix:%s", far);
    Relay *relay = relay_new(near, far);

    if (preempt) {
        migration_set_cap(p.from, "postcopy-preempt");
        migration_set_cap(p.to, "postcopy-preempt");
    }
    g_free(p.uri);
    p.uri = g_strdup_printf("unix:%s", near);
    tls_use(p.from, "x509", dirs->x509, false);
    tls_use(p.to, "x509", dirs->x509, true);
    qtest_qmp_ok(p.to, "object-add",
                 "{'qom-type': 'authz-simple', 'id': 'a', 'identity': '" TLS_CLIENT "'}");
    set(p.to, "tls-authz", "a");
    set(p.from, "tls-hostname", TLS_HOST);
    qtest_qmp_ok(p.to, "migrate-incoming", "{'uri': '%s'}", listen);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", p.uri);
    migration_wait_status(p.from, "active");
    pair_to_postcopy(&p);
    relay_cut(relay);
    migration_wait_status(p.from, "postcopy-paused");
    migration_wait_status(p.to, "postcopy-paused");
    qtest_qmp_ok(p.to, "migrate-recover", "{'uri': '%s'}", listen);
    /* A stranger first: the destination goes on waiting. */
    tls_use(p.from, "x509", dirs->bare, false);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s', 'resume': true}", p.uri);
    migration_wait_status(p.from, "postcopy-recover-setup");
    migration_wait_status(p.from, "postcopy-paused");
    tls_use(p.from, "x509", dirs->x509, false);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s', 'resume': true}", p.uri);
    migration_wait_status(p.from, "postcopy-active");
    migration_wait_status(p.to, "postcopy-active");
    pair_read_and_finish(&p);
    relay_free(relay);
    pair_free(&p);
}

/* ---- who is refused ---- */

typedef struct Refusal {
    const char *name, *channel;
    const char *client;       /* kind of credentials, NULL: none */
    const char *server;
    size_t client_dir;        /* offset in TlsDirs */
    const char *hostname;
    const char *authz;
    const char *cap;
    const char *from_says, *to_says;
    bool multifd;
} Refusal;

#define DIR(d) offsetof(TlsDirs, d)
#define NO_ONE "'qom-type': 'authz-simple', 'identity': 'nobody'"

static const Refusal refusals[] = {
    { "wrong-host", "tcp", "x509", "x509", DIR(x509), "elsewhere.example", NULL, NULL,
      "not for the host 'elsewhere.example'", "refused" },
    { "no-certificate", "tcp", "x509", "x509", DIR(bare), NULL, NULL, NULL,
      "ertificate", "the peer sent no certificate" },
    { "no-certificate-return-path", "unix", "x509", "x509", DIR(bare), TLS_HOST, NULL,
      "return-path", "ertificate", "the peer sent no certificate" },
    { "untrusted", "tcp", "x509", "x509", DIR(stranger), NULL, NULL, NULL,
      "CA is unknown", "signed by somebody unknown" },
    { "denied", "tcp", "x509", "x509", DIR(x509), NULL, NO_ONE, NULL,
      "access denied", "'" TLS_CLIENT "' is not let in by 'authz0'" },
    { "denied-return-path", "unix", "x509", "x509", DIR(x509), TLS_HOST, NO_ONE, "return-path",
      "access denied", "'" TLS_CLIENT "' is not let in by 'authz0'" },
    { "denied-psk", "unix", "psk", "psk", DIR(psk), NULL, NO_ONE, NULL,
      "access denied", "'qemu' is not let in by 'authz0'" },
    { "denied-anon", "unix", "anon", "anon", DIR(psk), NULL, NO_ONE, NULL,
      "access denied", "these credentials do not tell" },
    { "wrong-psk", "unix", "psk", "psk", DIR(wrong_psk), NULL, NULL, NULL, "TLS", "TLS" },
    { "plain-to-tls", "unix", NULL, "psk", 0, NULL, NULL, "return-path",
      "", "does the peer use TLS?" },
    { "multifd-untrusted", "tcp", "x509", "x509", DIR(stranger), NULL, NULL, NULL,
      "CA is unknown", "signed by somebody unknown", true },
    { "multifd-denied", "unix", "x509", "x509", DIR(x509), TLS_HOST, NO_ONE, "return-path",
      "access denied", "'" TLS_CLIENT "' is not let in by 'authz0'", true },
    { "multifd-wrong-psk", "unix", "psk", "psk", DIR(wrong_psk), NULL, NULL, NULL, "TLS", "TLS",
      true },
};

static char *error_desc(QTestState *s)
{
    g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);

    return g_strdup(json_object_get_string_member_with_default(info, "error-desc", ""));
}

static void expect_error(QTestState *s, const char *part)
{
    g_autofree char *text = NULL;

    for (int i = 0; i < QTEST_TIMEOUT * 100; i++) {
        g_free(text);
        text = error_desc(s);
        if (text[0]) {
            break;
        }
        g_usleep(10000);
    }
    if (!strstr(text, part)) {
        g_error("'%s' is not in '%s'", part, text);
    }
}

static void test_refused(gconstpointer opaque)
{
    const Refusal *r = opaque;
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *uri = NULL, *said = NULL;
    g_autoptr(JsonObject) info = NULL;

    if (r->client) {
        tls_use(p.from, r->client, !strcmp(r->client, "anon") ? NULL
                                   : *(char **)((char *)dirs + r->client_dir), false);
    }
    tls_use(p.to, r->server, !strcmp(r->server, "anon") ? NULL
                             : !strcmp(r->server, "psk") ? dirs->psk : dirs->x509, true);
    if (r->hostname) {
        set(p.from, "tls-hostname", r->hostname);
    }
    if (r->authz) {
        qtest_qmp_ok(p.to, "object-add", "{'id': 'authz0', %s}", r->authz);
        set(p.to, "tls-authz", "authz0");
    }
    if (r->cap) {
        mig_cap(p.from, r->cap, true);
        mig_cap(p.to, r->cap, true);
    }
    if (r->multifd) {
        use_multifd(&p, 3, "none");
    }
    uri = listen_on(&p, r->channel);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    json_object_unref(mig_wait(p.from, "failed"));
    expect_error(p.from, r->from_says);
    expect_error(p.to, r->to_says);
    said = qtest_stderr(p.to);
    g_assert_nonnull(strstr(said, r->to_says));
    qtest_wait_run_state(p.from, "running");
    /* The destination still waits: the same migration with what is right. */
    info = qtest_qmp_object(p.to, "query-migrate", NULL);
    g_assert_cmpstr(json_object_get_string_member(info, "status"), ==, "setup");
    use(&p, "x509");
    set(p.from, "tls-hostname", TLS_HOST);
    set(p.to, "tls-authz", "");
    complete(&p, uri);
    file_pair_free(&p);
}

static void refused_at_once(QTestState *s, const char *command, const char *uri, const char *part)
{
    g_autofree char *err = qtest_qmp_error(s, command, "{'uri': '%s'}", uri);

    if (!strstr(err, part)) {
        g_error("'%s' is not in '%s'", part, err);
    }
}

/* Settings that cannot work are refused before anything starts. */
static void test_settings(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");

    set(p.from, "tls-creds", "nobody");
    refused_at_once(p.from, "migrate", "tcp:127.0.0.1:1", "No TLS credentials with id 'nobody'");
    tls_use(p.from, "x509", dirs->x509, false);
    refused_at_once(p.from, "migrate", "unix:/nonexistent", "No hostname available for TLS");
    refused_at_once(p.from, "migrate", "file:/tmp/x", "which a file has not");
    tls_use(p.from, "x509", dirs->x509, true);
    refused_at_once(p.from, "migrate", "tcp:127.0.0.1:1", "for a client endpoint");
    tls_use(p.to, "psk", dirs->psk, false);
    refused_at_once(p.to, "migrate-incoming", "tcp:127.0.0.1:0", "for a server endpoint");
    qtest_qmp_ok(p.to, "object-add", "{'qom-type': 'authz-simple', 'id': 'a', 'identity': 'x'}");
    set(p.to, "tls-creds", "a");
    refused_at_once(p.to, "migrate-incoming", "tcp:127.0.0.1:0", "is not TLS credentials");
    file_pair_free(&p);
}

/* Nobody answers the handshake: cancel ends it at once, and the guest runs. */
static void test_cancel_handshake(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *path = file_pair_path(&p, "silent"), *uri = g_strdup_printf("unix:%s", path);
    g_autofree char *good = NULL;
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), conn;
    char byte;

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    use(&p, "psk");
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    conn = accept(fd, NULL, NULL);
    g_assert_cmpint(read(conn, &byte, 1), ==, 1); /* it has begun */
    gint64 start = g_get_monotonic_time();
    qtest_qmp_ok(p.from, "migrate_cancel", NULL);
    json_object_unref(mig_wait(p.from, "cancelled"));
    g_assert_cmpint(g_get_monotonic_time() - start, <, 3 * G_USEC_PER_SEC);
    close(conn);
    close(fd);
    qtest_wait_run_state(p.from, "running");
    good = listen_on(&p, "unix");
    complete(&p, good);
    file_pair_free(&p);
}

/* A connection that says nothing does not keep the right one out. */
static void test_silent_client(void)
{
    FilePair p = file_pair_new(NULL, NULL, "none", MIB, "");
    g_autofree char *uri = NULL;
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    use(&p, "psk");
    uri = listen_on(&p, "unix");
    g_strlcpy(un.sun_path, uri + 5, sizeof(un.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    qtest_qmp_ok(p.from, "migrate", "{'uri': '%s'}", uri);
    g_usleep(100000);
    close(fd);
    json_object_unref(mig_wait(p.from, "completed"));
    json_object_unref(mig_wait(p.to, "completed"));
    file_pair_compare(&p);
    file_pair_free(&p);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    dirs = tls_dirs_new();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("/migration/tls/%s", cases[i].name);
        g_test_add_data_func(name, &cases[i], test_works);
    }
    g_test_add_func("/migration/tls/command-line", test_command_line);
    for (size_t i = 0; i < G_N_ELEMENTS(multifd_cases); i++) {
        g_autofree char *name = g_strdup_printf("/migration/tls/multifd/%s",
                                                multifd_cases[i].name);
        g_test_add_data_func(name, &multifd_cases[i], test_multifd);
    }
    g_test_add_func("/migration/tls/multifd/postcopy", test_multifd_postcopy);
    g_test_add_data_func("/migration/tls/postcopy/psk", "psk", test_postcopy);
    g_test_add_data_func("/migration/tls/postcopy/x509", "x509", test_postcopy);
    g_test_add_func("/migration/tls/postcopy/preempt", test_preempt);
    g_test_add_data_func("/migration/tls/postcopy/recover", NULL, test_recover);
    g_test_add_data_func("/migration/tls/postcopy/recover-preempt", "", test_recover);
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *name = g_strdup_printf("/migration/tls/refused/%s", refusals[i].name);
        g_test_add_data_func(name, &refusals[i], test_refused);
    }
    g_test_add_func("/migration/tls/refused/settings", test_settings);
    g_test_add_func("/migration/tls/cancel-handshake", test_cancel_handshake);
    g_test_add_func("/migration/tls/silent-client", test_silent_client);
    ret = g_test_run();
    tls_dirs_free(dirs);
    return ret;
}
