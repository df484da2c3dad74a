/*
 * Sections of PCI and virtio devices are laid out as a stock QEMU lays them out: both save
 * a machine with the same devices, and what the descriptions at the end of the streams say about
 * these sections must agree, field by field.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "libqtest.h"
#include "stock.h"

#define DISK_SIZE (1 << 20)

static const char *const pc_sections[] = {
    "PCIHost", "PCIBUS", "0000:00:00.0/I440FX", "0000:00:01.0/PIIX3", "0000:00:02.0/virtio-rng",
    "0000:00:03.0/virtio-blk", NULL,
};
static const char *const q35_sections[] = {
    "PCIHost", "PCIBUS", "0000:00:00.0/mch", "0000:00:01.0:00.0/virtio-rng",
    "0000:00:03.0/virtio-blk", NULL,
};

/* "type size xN" of each field, structs taken apart. */
static void flatten(JsonObject *of, GString *out)
{
    JsonArray *fields = json_object_has_member(of, "fields")
                            ? json_object_get_array_member(of, "fields") : NULL;

    for (guint i = 0; fields && i < json_array_get_length(fields); i++) {
        JsonObject *f = json_array_get_object_element(fields, i);

        if (json_object_has_member(f, "struct")) {
            flatten(json_object_get_object_member(f, "struct"), out);
            continue;
        }
        g_string_append_printf(out, "%s %" G_GINT64_FORMAT,
                               json_object_get_string_member(f, "type"),
                               json_object_get_int_member(f, "size"));
        if (json_object_has_member(f, "array_len")) {
            g_string_append_printf(out, " x%" G_GINT64_FORMAT,
                                   json_object_get_int_member(f, "array_len"));
        }
        g_string_append_c(out, '\n');
    }
    g_assert_false(json_object_has_member(of, "subsections"));
}

/* Section (first instance): version and fields; NULL: there is none. */
static char *layout(JsonObject *desc, const char *section)
{
    JsonArray *devices = json_object_get_array_member(desc, "devices");

    for (guint i = 0; i < json_array_get_length(devices); i++) {
        JsonObject *d = json_array_get_object_element(devices, i);

        if (!strcmp(json_object_get_string_member(d, "name"), section) &&
            !json_object_get_int_member(d, "instance_id")) {
            GString *out = g_string_new(NULL);

            g_string_printf(out, "version %" G_GINT64_FORMAT "\n",
                            json_object_get_int_member(d, "version"));
            flatten(d, out);
            return g_string_free(out, FALSE);
        }
    }
    return NULL;
}

/* The text behind the last zero byte of a stream. */
static JsonObject *description(const char *path)
{
    g_autofree char *data = NULL;
    g_autoptr(JsonParser) parser = json_parser_new();
    gsize len, at;

    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    at = len;
    while (at > 0 && data[at - 1]) {
        at--;
    }
    while (at < len && data[at] != '{') {
        at++;
    }
    g_assert_true(json_parser_load_from_data(parser, data + at, len - at, NULL));
    return json_object_ref(json_node_get_object(json_parser_get_root(parser)));
}

static JsonObject *save(const char *program, const char *machine, const char *disk)
{
    const char *port = g_str_has_prefix(machine, "pc-q35")
                           ? "-device pcie-root-port,id=p,addr=1 -device virtio-rng-pci,bus=p"
                           : "-device virtio-rng-pci,addr=2";

    qtest_use_binary(program);
    QTestState *s = qtest_init_qmp("-machine %s -accel tcg -m 16M -nodefaults -S %s "
                                   "-drive if=none,id=d,file=%s,format=raw "
                                   "-device virtio-blk-pci,drive=d,addr=3", machine, port, disk);
    qtest_use_binary(NULL);
    g_autofree char *stream = qtest_path(s, "stream");

    qtest_qmp_ok(s, "migrate", "{'uri':'exec:cat > %s'}", stream);
    for (bool done = false; !done; g_usleep(20000)) {
        g_autoptr(JsonObject) info = qtest_qmp_object(s, "query-migrate", NULL);
        const char *status = json_object_get_string_member(info, "status");

        g_assert_cmpstr(status, !=, "failed");
        done = !strcmp(status, "completed");
    }
    JsonObject *desc = description(stream);
    qtest_quit(s);
    return desc;
}

static void compare(const char *machine, const char *const *sections)
{
    g_autofree char *disk = NULL;
    g_autofree char *zeros = g_malloc0(DISK_SIZE);
    int fd = g_file_open_tmp("ferry-vdisk-XXXXXX", &disk, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_true(g_file_set_contents(disk, zeros, DISK_SIZE, NULL));
    g_close(fd, NULL);
    g_autoptr(JsonObject) theirs = save(stock, machine, disk);
    g_autoptr(JsonObject) ours = save(NULL, machine, disk);
    for (; *sections; sections++) {
        g_autofree char *want = layout(theirs, *sections);
        g_autofree char *have = layout(ours, *sections);

        g_test_message("%s", *sections);
        g_assert_nonnull(want);
        g_assert_cmpstr(have, ==, want);
    }
    g_unlink(disk);
}

static void test_pc(void)
{
    if (have_stock()) {
        compare("pc-i440fx-7.2", pc_sections);
    }
}

static void test_q35(void)
{
    if (have_stock()) {
        compare("pc-q35-7.2", q35_sections);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    stock_find();
    g_test_add_func("/interop/layout/pc", test_pc);
    g_test_add_func("/interop/layout/q35", test_q35);
    return g_test_run();
}
