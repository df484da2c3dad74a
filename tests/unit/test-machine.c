/*
 * Unit tests of machines and memory backends: machine none, properties, RAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/core/machine.h"
#include "system/address-space.h"
#include "system/hostmem.h"
#include "system/machine-lock.h"
#include "util/util.h"

static JsonObject *json(const char *text)
{
    g_autoptr(JsonNode) node = json_from_string(text, NULL);

    return json_node_dup_object(node);
}

static Object *backend(const char *type, const char *id, const char *props, Error **errp)
{
    g_autoptr(JsonObject) o = json(props);

    return object_create_user(type, id, o, errp);
}

static void test_backends(void)
{
    MACHINE_LOCK_GUARD();
    g_autoptr(Error) err = NULL;
    HostMemoryBackend *b;

    b = (HostMemoryBackend *)backend("memory-backend-memfd", "m0", "{\"size\":\"4M\"}", &err);
    g_assert_no_error(err);
    g_assert_true(b->share && b->rb->shared && b->rb->fd >= 0);
    g_assert_cmpstr(b->rb->idstr, ==, "m0");
    g_assert_false(b->rb->migratable);
    g_assert_true(object_delete_user("m0", NULL));
    g_assert_null(ramblock_by_name("m0"));

    b = (HostMemoryBackend *)backend(
        "memory-backend-ram", "m1",
        "{\"size\":2097152,\"x-use-canonical-path-for-ramblock-id\":true,\"policy\":\"default\","
        "\"host-nodes\":[]}", &err);
    g_assert_no_error(err);
    g_assert_cmpstr(b->rb->idstr, ==, "/objects/m1");
    g_assert_true(host_memory_backend_map(b, NULL));
    g_assert_true(b->rb->migratable);
    g_assert_false(host_memory_backend_map(b, NULL));
    g_assert_false(object_delete_user("m1", NULL));

    g_assert_null(backend("memory-backend-ram", "m2", "{}", &err));
    g_assert_nonnull(strstr(err->message, "size 0"));
    g_clear_error(&err);
    g_assert_null(backend("memory-backend-ram", "m2", "{\"size\":4096,\"policy\":\"bind\"}", NULL));
    g_assert_null(backend("memory-backend-ram", "m2", "{\"size\":4096,\"host-nodes\":[0]}", NULL));
    g_assert_null(backend("memory-backend-file", "m2", "{\"size\":4096}", &err));
    g_assert_cmpstr(err->message, ==, "mem-path property not set");
    g_clear_error(&err);
    g_assert_null(backend("memory-backend-file", "m2",
                          "{\"size\":4096,\"mem-path\":\"/nowhere/x\"}", NULL));
    g_assert_null(ramblock_by_name("m2"));
}

static void test_file_backend(void)
{
    MACHINE_LOCK_GUARD();
    g_autoptr(Error) err = NULL;
    g_autofree char *path = NULL;
    g_autofree char *data = g_malloc0(2 * 4096);
    g_autofree char *props = NULL;
    int fd = g_file_open_tmp("ferry-test-XXXXXX", &path, NULL);

    data[4096] = 'x';
    g_assert_cmpint(write(fd, data, 2 * 4096), ==, 2 * 4096);
    close(fd);
    props = g_strdup_printf("{\"size\":4096,\"offset\":4096,\"share\":true,\"mem-path\":\"%s\"}", path);
    HostMemoryBackend *b = (HostMemoryBackend *)backend("memory-backend-file", "f0", props, &err);
    g_assert_no_error(err);
    g_assert_cmpint(b->rb->host[0], ==, 'x');
    g_assert_true(object_delete_user("f0", NULL));
    unlink(path);
}

static void test_none(void)
{
    MACHINE_LOCK_GUARD();
    g_autoptr(Error) err = NULL;
    const MachineClass *mc = machine_class_by_name("none");
    uint32_t word = 0x12345678, back;

    g_assert_nonnull(mc);
    g_assert_null(machine_class_by_name("some"));
    g_assert_nonnull(type_by_name("none-machine"));
    MachineState *m = machine_new(mc);
    g_assert_true(object_resolve("/machine", NULL) == &m->obj);
    g_assert_true(machine_set_property(m, "usb", "off", NULL));
    g_assert_true(machine_set_property(m, "dump-guest-core", "off", NULL));
    g_assert_true(machine_set_property(m, "mem_merge", "off", NULL));
    g_assert_true(machine_set_property(m, "suppress-vmdesc", "on", NULL));
    g_assert_true(m->suppress_vmdesc && !m->mem_merge);
    g_assert_false(machine_set_property(m, "usb", "on", &err));
    g_assert_nonnull(strstr(err->message, "usb=on"));
    g_clear_error(&err);
    g_assert_false(machine_set_property(m, "wings", "2", &err));
    g_assert_cmpstr(err->message, ==, "Property 'none-machine.wings' not found");
    g_clear_error(&err);

    backend("memory-backend-ram", "mem", "{\"size\":\"8M\"}", &err);
    g_assert_no_error(err);
    g_assert_true(machine_set_property(m, "memory-backend", "mem", NULL));
    m->ram_size = 4 * MiB;
    g_assert_false(machine_create(m, &err));
    g_assert_nonnull(strstr(err->message, "does not match"));
    g_clear_error(&err);
    m->ram_size = 0;
    g_assert_true(machine_create(m, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(m->ram_size, ==, 8 * MiB);
    g_assert_cmpstr(m->ram->idstr, ==, "mem");
    g_assert_true(memory_write(8 * MiB - 4, &word, 4));
    g_assert_true(memory_read(8 * MiB - 4, &back, 4));
    g_assert_cmphex(back, ==, word);
    g_assert_false(memory_read(8 * MiB, &back, 4));
}

static void test_device_add(void)
{
    MACHINE_LOCK_GUARD();
    g_autoptr(Error) err = NULL;
    g_autoptr(JsonObject) unknown = json("{\"driver\":\"warp-drive\"}");
    g_autoptr(JsonObject) missing = json("{\"id\":\"a\"}");

    g_assert_null(device_add(unknown, &err));
    g_assert_cmpstr(err->message, ==, "'warp-drive' is not a valid device model name");
    g_assert_null(device_add(missing, NULL));
    g_assert_false(device_del("none", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/backends", test_backends);
    g_test_add_func("/machine/file-backend", test_file_backend);
    g_test_add_func("/machine/none", test_none);
    g_test_add_func("/machine/device-add", test_device_add);
    return g_test_run();
}
