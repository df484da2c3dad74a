/*
 * Monitor commands on a whole machine: every query answers, the object tree can be
 * walked, memory is shown and saved as it is, HMP says what QMP says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "libqtest.h"

static QTestState *start(void)
{
    return qtest_init("-M pc -m 16 -accel qtest -smp 2 -nodefaults -name tester "
                      "-chardev null,id=c0 -serial chardev:c0");
}

static void expect_hmp(QTestState *s, const char *line, const char *want)
{
    g_autofree char *out = qtest_hmp(s, "%s", line);

    g_assert_cmpstr(out, ==, want);
}

/* Commands that ask and need no arguments: all that the schema has. */
static void test_queries(void)
{
    QTestState *s = qtest_init("-M pc -m 16 -accel qtest -smp 2 -nodefaults -name tester "
                               "-chardev null,id=c0 -serial chardev:c0 -device virtio-balloon-pci "
                               "-device virtio-net-pci");
    g_autoptr(JsonNode) list = qtest_qmp(s, "query-commands", NULL);
    JsonArray *commands = json_node_get_array(list);
    unsigned n = 0;

    for (guint i = 0; i < json_array_get_length(commands); i++) {
        const char *name = json_object_get_string_member(
            json_array_get_object_element(commands, i), "name");

        if (g_str_has_prefix(name, "query-") && strcmp(name, "query-cpu-model-expansion")) {
            /* Twice: the first answer must not use up what the second is made of. */
            g_autoptr(JsonNode) reply = qtest_qmp(s, name, NULL);
            g_autoptr(JsonNode) again = qtest_qmp(s, name, NULL);
            g_test_message("%s", name);
            g_assert_nonnull(reply);
            g_assert_nonnull(again);
            n++;
        }
    }
    g_assert_cmpuint(n, >, 20);
    qtest_quit(s);
}

/* Visit every object below path and read every property; returns how many objects. */
static unsigned walk(QTestState *s, const char *path)
{
    g_autoptr(JsonNode) list = qtest_qmp(s, "qom-list", "{'path': '%s'}", path);
    JsonArray *props = json_node_get_array(list);
    unsigned n = 1;

    for (guint i = 0; i < json_array_get_length(props); i++) {
        JsonObject *p = json_array_get_object_element(props, i);
        const char *name = json_object_get_string_member(p, "name");

        if (g_str_has_prefix(json_object_get_string_member(p, "type"), "child<")) {
            g_autofree char *child = g_strdup_printf("%s/%s", strcmp(path, "/") ? path : "", name);
            n += walk(s, child);
        } else {
            g_autoptr(JsonNode) value = qtest_qmp(s, "qom-get",
                                                  "{'path': '%s', 'property': '%s'}", path, name);
            g_assert_nonnull(value);
        }
    }
    return n;
}

static void test_object_tree(void)
{
    QTestState *s = start();

    g_assert_cmpuint(walk(s, "/machine"), >, 8);
    g_assert_cmpuint(walk(s, "/objects"), ==, 2); /* the monitor that asks */
    g_autoptr(JsonNode) types = qtest_qmp(s, "qom-list-types", "{'abstract': true}");
    JsonArray *a = json_node_get_array(types);
    for (guint i = 0; i < json_array_get_length(a); i++) {
        g_autoptr(JsonNode) props =
            qtest_qmp(s, "qom-list-properties", "{'typename': '%s'}",
                      json_object_get_string_member(json_array_get_object_element(a, i), "name"));
        g_assert_cmpuint(json_array_get_length(json_node_get_array(props)), >, 0);
    }
    g_autofree char *e = qtest_qmp_error(s, "device-list-properties", "{'typename': 'nosuch'}");
    g_assert_true(g_str_has_prefix(e, "DeviceNotFound"));
    qtest_quit(s);
}

static void test_memory(void)
{
    static const char text[] = "memory of a guest";
    QTestState *s = start();
    g_autofree char *file = qtest_path(s, "saved");
    g_autofree char *data = NULL;
    gsize len;

    qtest_memwrite(s, 0x100000, text, sizeof(text));
    qtest_writeq(s, 0x200000, 0xfedcba9876543210);
    expect_hmp(s, "xp /4xb 0x200000", "0000000000200000: 0x10 0x32 0x54 0x76\r\n");
    expect_hmp(s, "xp /2xh 0x200000", "0000000000200000: 0x3210 0x7654\r\n");
    expect_hmp(s, "xp /1xg 0x200000", "0000000000200000: 0xfedcba9876543210\r\n");
    expect_hmp(s, "xp /1dw 0x200004", "0000000000200004:  -19088744\r\n");
    expect_hmp(s, "xp /1uw 0x200004", "0000000000200004: 4275878552\r\n");
    expect_hmp(s, "xp /1ob 0x200000", "0000000000200000: 020\r\n");
    expect_hmp(s, "xp /3cb 0x100000", "0000000000100000: 'm' 'e' 'm'\r\n");
    expect_hmp(s, "xp /5xw 0x300000",
               "0000000000300000: 0x00000000 0x00000000 0x00000000 0x00000000\r\n"
               "0000000000300010: 0x00000000\r\n");
    expect_hmp(s, "sum 0x300000 16", "00000\r\n");
    qtest_qmp_ok(s, "pmemsave", "{'val': 1048576, 'size': %d, 'filename': '%s'}",
                 (int)sizeof(text), file);
    g_assert_true(g_file_get_contents(file, &data, &len, NULL));
    g_assert_cmpmem(data, len, text, sizeof(text));
    g_clear_pointer(&data, g_free);
    /* Real mode: what the CPU sees is physical memory. */
    qtest_qmp_ok(s, "memsave", "{'val': 1048576, 'size': %d, 'filename': '%s', 'cpu-index': 1}",
                 (int)sizeof(text), file);
    g_assert_true(g_file_get_contents(file, &data, &len, NULL));
    g_assert_cmpmem(data, len, text, sizeof(text));
    g_autofree char *e = qtest_qmp_error(s, "memsave",
                                         "{'val': 0, 'size': 1, 'filename': '%s', 'cpu-index': 2}",
                                         file);
    g_assert_nonnull(strstr(e, "cpu-index"));
    g_autofree char *none = qtest_qmp_error(s, "pmemsave",
                                            "{'val': 0, 'size': 1, 'filename': '/nosuch/x'}");
    g_assert_nonnull(strstr(none, "Could not open '/nosuch/x'"));
    qtest_quit(s);
}

static void test_info(void)
{
    static const char *const items[] = {
        "status", "version", "name", "kvm", "cpus", "registers", "registers -a", "mtree", "qtree",
        "qom-tree", "ramblock", "chardev", "trace-events", "memory_size_summary",
    };
    QTestState *s = start();

    for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
        g_autofree char *out = qtest_hmp(s, "info %s", items[i]);
        g_assert_true(g_str_has_suffix(out, "\r\n"));
        g_assert_null(strstr(out, "unknown command"));
    }
    expect_hmp(s, "info name", "tester\r\n");
    g_autofree char *blocks = qtest_hmp(s, "info ramblock");
    g_assert_true(g_str_has_prefix(blocks, "              Block Name    PSize              Offset"
                                           "               Used              Total"));
    g_assert_nonnull(strstr(blocks, "pc.ram    4 KiB  0x0000000000000000 0x0000000001000000"));
    g_autofree char *regs = qtest_hmp(s, "info registers -a");
    g_assert_nonnull(strstr(regs, "CPU#0"));
    g_assert_nonnull(strstr(regs, "CPU#1"));
    qtest_quit(s);
}

static void test_objects(void)
{
    QTestState *s = start();
    g_autofree char *e = NULL;

    expect_hmp(s, "object_add memory-backend-ram,id=m0,size=1M", "");
    e = qtest_qmp_error(s, "object-add",
                        "{'qom-type': 'memory-backend-ram', 'id': 'm0', 'size': 4096}");
    g_assert_nonnull(strstr(e, "duplicate"));
    qtest_qmp_ok(s, "object-del", "{'id': 'm0'}");
    expect_hmp(s, "object_del m0", "Error: object 'm0' not found\r\n");
    g_clear_pointer(&e, g_free);
    e = qtest_qmp_error(s, "device_add", "{'driver': 'nosuch'}");
    g_assert_nonnull(strstr(e, "'nosuch' is not a valid device model name"));
    g_clear_pointer(&e, g_free);
    e = qtest_qmp_error(s, "chardev-remove", "{'id': 'c0'}");
    g_assert_nonnull(strstr(e, "c0"));
    expect_hmp(s, "chardev-add null,id=c1", "");
    qtest_qmp_ok(s, "chardev-remove", "{'id': 'c1'}");
    qtest_qmp_ok(s, "trace-event-set-state", "{'name': 'qmp_*', 'enable': true}");
    g_autoptr(JsonNode) t = qtest_qmp(s, "trace-event-get-state", "{'name': 'qmp_command'}");
    g_assert_cmpstr(json_object_get_string_member(
                        json_array_get_object_element(json_node_get_array(t), 0), "state"),
                    ==, "enabled");
    qtest_quit(s);
}

static void test_cpu_models(void)
{
    QTestState *s = start();
    g_autoptr(JsonObject) full = qtest_qmp_object(
        s, "query-cpu-model-expansion",
        "{'type': 'full', 'model': {'name': 'qemu64', 'props': {'nx': false}}}");
    JsonObject *model = json_object_get_object_member(full, "model");
    JsonObject *props = json_object_get_object_member(model, "props");

    g_assert_cmpstr(json_object_get_string_member(model, "name"), ==, "qemu64");
    g_assert_false(json_object_get_boolean_member(props, "nx"));
    g_assert_true(json_object_get_boolean_member(props, "fpu"));
    g_autofree char *e = qtest_qmp_error(s, "query-cpu-model-expansion",
                                         "{'type': 'static', 'model': {'name': 'nosuch'}}");
    g_assert_nonnull(strstr(e, "CPU model 'nosuch' not found"));
    g_assert_cmpstr(json_object_get_string_member(props, "vendor"), ==, "AuthenticAMD");
    g_assert_cmpint(json_object_get_int_member(props, "family"), ==, 15);
    g_assert_cmpint(json_object_get_int_member(props, "model"), ==, 107);
    g_assert_cmpint(json_object_get_int_member(props, "stepping"), ==, 1);
    qtest_quit(s);
}

/* The software CPU gives no vmx: a model that has it is not whole, and says so. */
static void test_cpu_features(void)
{
    QTestState *s = qtest_init_qmp("-machine pc,accel=interp -m 4M -S -cpu qemu64,vmx=on,nx=off");
    g_autoptr(JsonNode) cpus = qtest_qmp(s, "query-cpus-fast", NULL);
    const char *path = json_object_get_string_member(
        json_array_get_object_element(json_node_get_array(cpus), 0), "qom-path");
    const char *get = "{'path': '%s', 'property': '%s'}";
    g_autoptr(JsonNode) lacking = qtest_qmp(s, "qom-get", get, path, "unavailable-features");
    g_autoptr(JsonNode) vmx = qtest_qmp(s, "qom-get", get, path, "vmx");
    g_autoptr(JsonNode) nx = qtest_qmp(s, "qom-get", get, path, "nx");
    g_autoptr(JsonNode) fpu = qtest_qmp(s, "qom-get", get, path, "fpu");
    g_autoptr(JsonNode) models = qtest_qmp(s, "query-cpu-definitions", NULL);
    JsonArray *list = json_node_get_array(lacking);

    g_assert_cmpuint(json_array_get_length(list), ==, 1);
    g_assert_cmpstr(json_array_get_string_element(list, 0), ==, "vmx");
    g_assert_false(json_node_get_boolean(vmx));
    g_assert_false(json_node_get_boolean(nx));
    g_assert_true(json_node_get_boolean(fpu));
    /* KVM's own features are no part of a model without KVM. */
    for (guint i = 0; i < json_array_get_length(json_node_get_array(models)); i++) {
        JsonObject *m = json_array_get_object_element(json_node_get_array(models), i);

        if (!strcmp(json_object_get_string_member(m, "name"), "qemu64")) {
            list = json_object_get_array_member(m, "unavailable-features");
            g_assert_cmpuint(json_array_get_length(list), ==, 0);
        }
    }
    qtest_quit(s);
}

/* A machine that was stopped and reset is as one that was never started. */
static void test_reset(void)
{
    QTestState *s = start();

    qtest_wait_run_state(s, "running");
    qtest_qmp_ok(s, "stop", NULL);
    qtest_wait_run_state(s, "paused");
    qtest_qmp_ok(s, "system_reset", NULL);
    json_object_unref(qtest_event_wait(s, "RESET"));
    qtest_wait_run_state(s, "prelaunch");
    g_autofree char *e = qtest_qmp_error(s, "system_wakeup", NULL);
    g_assert_nonnull(strstr(e, "not in suspended state"));
    qtest_qmp_ok(s, "cont", NULL);
    qtest_wait_run_state(s, "running");
    qtest_quit(s);
}

/* No image here holds snapshots: each command says so, and which device is in the way. */
static void test_snapshots(void)
{
    static const char *const hmp[] = { "savevm", "savevm a", "loadvm a", "delvm a" };
    static const char *const qmp[] = { "snapshot-save", "snapshot-load" };
    g_autofree char *dir = g_dir_make_tmp("ferry-mon-XXXXXX", NULL);
    g_autofree char *image = g_build_filename(dir, "image", NULL);

    g_assert_true(g_file_set_contents(image, dir, 4, NULL));
    for (int with = 0; with < 2; with++) {
        const char *text = with ? "Device 'd0' is writable but does not support snapshots"
                                : "no block device can store vmstate for snapshot";
        g_autofree char *drive = g_strdup_printf("-drive if=none,id=d0,format=raw,file=%s", image);
        QTestState *s = qtest_init("-machine q35 -m 2M %s", with ? drive : "");

        for (size_t i = 0; i < G_N_ELEMENTS(hmp); i++) {
            g_autofree char *out = qtest_hmp(s, "%s", hmp[i]);
            g_assert_true(g_str_has_prefix(out, "Error: "));
            g_assert_nonnull(strstr(out, text));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(qmp); i++) {
            g_autofree char *err = qtest_qmp_error(
                s, qmp[i], "{'job-id': 'j', 'tag': 'a', 'vmstate': 'd0', 'devices': ['d0']}");
            g_assert_nonnull(strstr(err, text));
        }
        g_autofree char *del = qtest_qmp_error(
            s, "snapshot-delete", "{'job-id': 'j', 'tag': 'a', 'devices': ['d0']}");
        g_assert_nonnull(strstr(del, text));
        expect_hmp(s, "info snapshots", "no block device can store vmstate for snapshot\r\n");
        qtest_quit(s);
    }
    g_unlink(image);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/monitor/queries", test_queries);
    g_test_add_func("/monitor/object-tree", test_object_tree);
    g_test_add_func("/monitor/memory", test_memory);
    g_test_add_func("/monitor/info", test_info);
    g_test_add_func("/monitor/objects", test_objects);
    g_test_add_func("/monitor/cpu-models", test_cpu_models);
    g_test_add_func("/monitor/cpu-features", test_cpu_features);
    g_test_add_func("/monitor/reset", test_reset);
    g_test_add_func("/monitor/snapshots", test_snapshots);
    return g_test_run();
}
