/*
 * What a manager's life depends on: the conversation in which libvirt 9.0 finds out what a program
 * can do, and the order of events and replies that it counts on.
 *
 * Each of these is known to make that libvirtd crash, hang or probe for ever when it is otherwise:
 * a line that does not end in CR LF; an error of query-cpu-definitions; qom-list-properties that does
 * not know a type that is listed; a status that is told after the reply.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libqtest.h"

typedef struct Client {
    char *dir;
    FILE *in, *out; /* the monitor */
    GPid pid;
    GString *order; /* "EVENT " and "reply " since the last command */
} Client;

static char *file_of(const Client *c, const char *name)
{
    return g_build_filename(c->dir, name, NULL);
}

/* The next line as JSON.  It ends in CR LF. */
static JsonObject *read_line(Client *c)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n = getline(&line, &size, c->in);
    g_autoptr(JsonParser) parser = json_parser_new();

    g_assert_cmpint(n, >, 2);
    g_assert_cmpstr(line + n - 2, ==, "\r\n");
    g_assert_true(json_parser_load_from_data(parser, line, n, NULL));
    free(line);
    return json_object_ref(json_node_get_object(json_parser_get_root(parser)));
}

/* Ask; the reply, whatever it is.  c->order says what came in front of it. */
static JsonObject *ask(Client *c, const char *text)
{
    g_string_truncate(c->order, 0);
    g_assert_cmpint(fprintf(c->out, "%s\r\n", text), >, 0);
    g_assert_cmpint(fflush(c->out), ==, 0);
    for (;;) {
        JsonObject *o = read_line(c);

        if (!json_object_has_member(o, "event")) {
            return o;
        }
        g_string_append(c->order, json_object_get_string_member(o, "event"));
        if (json_object_has_member(o, "data") &&
            json_object_has_member(json_object_get_object_member(o, "data"), "status")) {
            g_string_append_printf(c->order, ":%s", json_object_get_string_member(
                json_object_get_object_member(o, "data"), "status"));
        }
        g_string_append_c(c->order, ' ');
        json_object_unref(o);
    }
}

static JsonObject *ask_ok(Client *c, const char *text)
{
    JsonObject *o = ask(c, text);

    if (!json_object_has_member(o, "return")) {
        g_error("%s: %s", text, json_object_get_string_member(
            json_object_get_object_member(o, "error"), "desc"));
    }
    return o;
}

static void do_ok(Client *c, const char *text)
{
    json_object_unref(ask_ok(c, text));
}

/* As libvirt starts it; when the command returns, the monitor listens and the process is known. */
static Client probe_start(const char *accel)
{
    Client c = { .dir = g_dir_make_tmp("ferry-test-XXXXXX", NULL), .order = g_string_new(NULL) };
    g_autofree char *monitor = file_of(&c, "qmp"), *pidfile = file_of(&c, "pid"), *text = NULL;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    g_autofree char *err = NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(qtest_run(NULL, &err, "-S -no-user-config -nodefaults -nographic -machine "
                              "none,accel=%s -qmp unix:%s,server=on,wait=off -pidfile %s -daemonize",
                              accel, monitor, pidfile), ==, 0);
    g_assert_true(g_file_get_contents(pidfile, &text, NULL, NULL));
    c.pid = atoi(text);
    g_strlcpy(addr.sun_path, monitor, sizeof(addr.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    c.in = fdopen(fd, "r");
    c.out = fdopen(dup(fd), "w");
    json_object_unref(read_line(&c)); /* the greeting, before anything was asked */
    do_ok(&c, "{\"execute\":\"qmp_capabilities\",\"id\":\"libvirt-1\"}");
    return c;
}

static void probe_end(Client *c)
{
    g_autofree char *monitor = file_of(c, "qmp"), *pidfile = file_of(c, "pid");

    kill(c->pid, SIGTERM);
    while (getc(c->in) != EOF) { /* the last event */
    }
    fclose(c->in);
    fclose(c->out);
    for (int i = 0; i < 300 && !kill(c->pid, 0); i++) {
        g_usleep(10000);
    }
    g_assert_false(g_file_test(monitor, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(pidfile, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_rmdir(c->dir), ==, 0);
    g_string_free(c->order, true);
    g_free(c->dir);
}

/* What must not fail, whatever there is on this host. */
static const char *const needed[] = {
    "query-version", "query-target", "query-qmp-schema", "query-commands", "query-kvm",
    "qom-list-types", "query-machines", "query-cpu-definitions", "query-command-line-options",
    "query-migrate-capabilities",
};

/* What is asked for each type whose name is listed; and what is asked in any case. */
static const char *const asked_properties[] = {
    "memory-backend-file", "memory-backend-memfd", "max-x86_64-cpu", "none-machine",
};

/* Any type that is listed has properties to tell of. */
static void check_types(Client *c)
{
    g_autoptr(JsonObject) reply = ask_ok(c, "{\"execute\":\"qom-list-types\"}");
    JsonArray *types = json_object_get_array_member(reply, "return");
    bool tcg = false;

    for (guint i = 0; i < json_array_get_length(types); i++) {
        const char *name = json_object_get_string_member(json_array_get_object_element(types, i),
                                                         "name");
        g_autofree char *q = g_strdup_printf("{\"execute\":\"qom-list-properties\",\"arguments\":"
                                             "{\"typename\":\"%s\"}}", name);

        do_ok(c, q);
        tcg = tcg || !strcmp(name, "tcg-accel");
        /* These would be asked about with commands that there are not. */
        g_assert_cmpstr(name, !=, "sev-guest");
        g_assert_cmpstr(name, !=, "sgx-epc");
    }
    g_assert_true(tcg); /* or no domain of type qemu */
}

static void test_probe(gconstpointer accel)
{
    Client c = probe_start(accel);
    g_autoptr(JsonObject) kvm = NULL, unknown = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        g_autofree char *q = g_strdup_printf("{\"execute\":\"%s\",\"id\":\"libvirt-2\"}", needed[i]);

        do_ok(&c, q);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(asked_properties); i++) {
        g_autofree char *q = g_strdup_printf("{\"execute\":\"qom-list-properties\",\"arguments\":"
                                             "{\"typename\":\"%s\"}}", asked_properties[i]);

        do_ok(&c, q);
    }
    check_types(&c);
    /* Only of this class may a device be unknown. */
    unknown = ask(&c, "{\"execute\":\"device-list-properties\",\"arguments\":"
                      "{\"typename\":\"virtio-net-ccw\"}}");
    g_assert_cmpstr(json_object_get_string_member(json_object_get_object_member(unknown, "error"),
                                                  "class"), ==, "DeviceNotFound");
    /* Where KVM could be used and is not, libvirt takes what it knows for old, each time. */
    kvm = ask_ok(&c, "{\"execute\":\"query-kvm\"}");
    g_assert_true(json_object_get_boolean_member(json_object_get_object_member(kvm, "return"),
                                                 "enabled") ==
                  (strstr(accel, "kvm") && qtest_have_kvm()));
    do_ok(&c, "{\"execute\":\"query-cpu-model-expansion\",\"arguments\":{\"type\":\"static\","
              "\"model\":{\"name\":\"max\",\"props\":{\"migratable\":false}}}}");
    probe_end(&c);
}

/* A status is told in front of the reply to the command that brings it about. */
static void test_order(void)
{
    Client c = probe_start("qtest");
    g_autoptr(GString) seen = g_string_new(NULL);

    do_ok(&c, "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":"
              "[{\"capability\":\"events\",\"state\":true}]}}");
    do_ok(&c, "{\"execute\":\"cont\"}");
    g_assert_cmpstr(c.order->str, ==, "RESUME ");
    do_ok(&c, "{\"execute\":\"migrate\",\"arguments\":{\"detach\":true,\"resume\":false,"
              "\"uri\":\"exec:cat >/dev/null\"}}");
    g_assert_true(g_str_has_prefix(c.order->str, "MIGRATION:setup "));
    for (int i = 0; i < 1000 && !strstr(seen->str, "MIGRATION:completed"); i++) {
        do_ok(&c, "{\"execute\":\"query-migrate\"}");
        g_string_append(seen, c.order->str);
        g_usleep(10000);
    }
    g_assert_nonnull(strstr(seen->str, "STOP "));
    g_assert_nonnull(strstr(seen->str, "MIGRATION:completed "));
    do_ok(&c, "{\"execute\":\"query-jobs\"}"); /* asked when a daemon has come back */
    probe_end(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/manager/probe/kvm-or-software", "kvm:tcg", test_probe);
    g_test_add_data_func("/manager/probe/software", "tcg", test_probe);
    g_test_add_func("/manager/order", test_order);
    return g_test_run();
}
