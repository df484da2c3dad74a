/*
 * A saved stream as tools read it that know nothing of the machine: the text at its end says
 * what every section holds, and only `ram` is known besides.  The reader here uses nothing
 * of Ferry; every byte must be accounted for, and some of what it finds must be right.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "libqtest.h"

typedef struct Reader {
    const uint8_t *data;
    size_t len, pos;
    JsonObject *desc;
    GHashTable *sections; /* id -> device object; `ram`: NULL */
    GHashTable *values;   /* "name/instance/field.field[i]" -> u64, of scalar fields */
    char *name;           /* of the machine */
    char block[256];      /* the one that CONTINUE means */
    uint8_t *ram;         /* the largest block; rest untouched zero */
    uint64_t ram_size;
    unsigned pages, zeros, devices;
} Reader;

static const uint8_t *take(Reader *r, size_t n)
{
    r->pos += n;
    g_assert_cmpuint(r->pos, <=, r->len);
    return r->data + r->pos - n;
}

static uint64_t number(Reader *r, unsigned n)
{
    const uint8_t *p = take(r, n);
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static void text(Reader *r, char ret[256])
{
    size_t n = number(r, 1);

    memcpy(ret, take(r, n), n);
    ret[n] = 0;
}

/* The text starts at the first brace behind the last zero byte, as tools look for it. */
static JsonObject *find_description(Reader *r)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    size_t at = r->len;

    while (at > 0 && r->data[at - 1]) {
        at--;
    }
    while (at < r->len && r->data[at] != '{') {
        at++;
    }
    g_assert_true(json_parser_load_from_data(parser, (char *)r->data + at, r->len - at, NULL));
    return json_object_ref(json_node_get_object(json_parser_get_root(parser)));
}

/* ---- fields ---- */

static void read_struct(Reader *r, JsonObject *o, const char *path);

static void read_element(Reader *r, JsonObject *f, const char *path)
{
    const char *type = json_object_get_string_member(f, "type");
    size_t size = json_object_get_int_member(f, "size"), start = r->pos;

    if (!strcmp(type, "struct")) {
        read_struct(r, json_object_get_object_member(f, "struct"), path);
        g_assert_cmpuint(r->pos - start, ==, size);
    } else if (size <= 8 && strcmp(type, "buffer") && strcmp(type, "unused_buffer")) {
        uint64_t *value = g_new(uint64_t, 1);

        *value = number(r, size);
        g_hash_table_insert(r->values, g_strdup(path), value);
    } else {
        take(r, size);
    }
}

static void read_subsection(Reader *r, JsonObject *o, const char *path)
{
    char name[256];

    g_assert_cmpuint(number(r, 1), ==, 5);
    text(r, name);
    g_assert_cmpstr(name, ==, json_object_get_string_member(o, "vmsd_name"));
    g_assert_cmpuint(number(r, 4), ==, json_object_get_int_member(o, "version"));
    read_struct(r, o, path);
}

static void read_struct(Reader *r, JsonObject *o, const char *path)
{
    JsonArray *fields = json_object_get_array_member(o, "fields");

    for (guint i = 0; i < json_array_get_length(fields); i++) {
        JsonObject *f = json_array_get_object_element(fields, i);
        const char *name = json_object_get_string_member(f, "name");
        int64_t n = json_object_get_int_member_with_default(f, "array_len", 1);
        int64_t index = json_object_get_int_member_with_default(f, "index", -1);

        for (int64_t k = 0; k < n; k++) {
            g_autofree char *sub = n > 1 || index >= 0
                ? g_strdup_printf("%s.%s[%d]", path, name, (int)(index >= 0 ? index : k))
                : g_strdup_printf("%s.%s", path, name);

            read_element(r, f, sub);
        }
    }
    if (json_object_has_member(o, "subsections")) {
        JsonArray *subs = json_object_get_array_member(o, "subsections");

        for (guint i = 0; i < json_array_get_length(subs); i++) {
            read_subsection(r, json_array_get_object_element(subs, i), path);
        }
    }
}

/* ---- ram ---- */

static void read_blocks(Reader *r, uint64_t total)
{
    while (total) {
        char name[256];
        uint64_t size;

        text(r, name);
        size = number(r, 8);
        if (!r->ram) {
            r->ram = g_malloc0(size);
            r->ram_size = size;
            g_strlcpy(r->block, name, sizeof(r->block));
        }
        total -= size;
    }
}

static void read_ram(Reader *r)
{
    static char first[256];

    for (;;) {
        uint64_t word = number(r, 8), offset = word & ~4095ULL;
        unsigned flags = word & 4095;
        bool known;

        if (flags & 0x10) {
            g_assert_cmphex(word, ==, 0x10);
            return;
        }
        if (flags & 4) {
            read_blocks(r, offset | (word & 4095 & ~4U));
            g_strlcpy(first, r->block, sizeof(first));
            continue;
        }
        if (!(flags & 0x20)) {
            text(r, r->block);
        }
        known = !strcmp(r->block, first);
        g_assert_true(!known || offset < r->ram_size);
        if (flags & 2) {
            g_assert_cmpuint(number(r, 1), ==, 0);
            r->zeros++;
        } else {
            const uint8_t *page;

            g_assert_cmphex(flags & ~0x20U, ==, 8);
            page = take(r, 4096);
            r->pages++;
            if (known) {
                memcpy(r->ram + offset, page, 4096);
            }
        }
    }
}

/* ---- sections ---- */

static JsonObject *find_device(Reader *r, const char *name, uint64_t instance)
{
    JsonArray *list = json_object_get_array_member(r->desc, "devices");

    for (guint i = 0; i < json_array_get_length(list); i++) {
        JsonObject *d = json_array_get_object_element(list, i);

        if (!strcmp(json_object_get_string_member(d, "name"), name) &&
            json_object_get_int_member(d, "instance_id") == (gint64)instance) {
            return d;
        }
    }
    return NULL;
}

static void read_body(Reader *r, JsonObject *device)
{
    g_autofree char *path = NULL;

    if (!device) {
        read_ram(r);
        return;
    }
    path = g_strdup_printf("%s/%d", json_object_get_string_member(device, "name"),
                           (int)json_object_get_int_member(device, "instance_id"));
    read_struct(r, device, path);
}

static void read_section(Reader *r, unsigned element)
{
    uint64_t id = number(r, 4), instance, version;
    JsonObject *device = NULL;
    char name[256];

    if (element == 1 || element == 4) {
        text(r, name);
        instance = number(r, 4);
        version = number(r, 4);
        if (strcmp(name, "ram")) {
            device = find_device(r, name, instance);
            g_assert_nonnull(device);
            g_assert_cmpuint(version, ==, json_object_get_int_member(device, "version"));
            r->devices++;
        }
        g_hash_table_insert(r->sections, GUINT_TO_POINTER(id), device);
    } else {
        g_assert_true(g_hash_table_lookup_extended(r->sections, GUINT_TO_POINTER(id), NULL,
                                                   (gpointer *)&device));
    }
    read_body(r, device);
    g_assert_cmpuint(number(r, 1), ==, 0x7e);
    g_assert_cmpuint(number(r, 4), ==, id);
}

static void read_configuration(Reader *r)
{
    size_t start = r->pos, end, n = number(r, 4);

    r->name = g_strndup((char *)take(r, n), n);
    end = r->pos;
    r->pos = start;
    read_struct(r, json_object_get_object_member(r->desc, "configuration"), "configuration");
    g_assert_cmpuint(r->pos, >=, end);
}

static void read_stream(Reader *r)
{
    unsigned element;

    g_assert_cmpuint(number(r, 4), ==, 0x5145564d);
    g_assert_cmpuint(number(r, 4), ==, 3);
    while ((element = number(r, 1))) {
        switch (element) {
        case 1 ... 4:
            read_section(r, element);
            break;
        case 7:
            read_configuration(r);
            break;
        case 8: {
            number(r, 2);
            take(r, number(r, 2));
            break;
        }
        default:
            g_error("element 0x%02x at %zu", element, r->pos - 1);
        }
    }
    g_assert_cmpuint(number(r, 1), ==, 6);
    take(r, number(r, 4));
    g_assert_cmpuint(r->pos, ==, r->len);
    g_assert_cmpuint(r->devices, ==,
                     json_array_get_length(json_object_get_array_member(r->desc, "devices")));
    g_assert_cmpint(json_object_get_int_member(r->desc, "page_size"), ==, 4096);
}

static void reader_clear(Reader *r)
{
    json_object_unref(r->desc);
    g_hash_table_unref(r->sections);
    g_hash_table_unref(r->values);
    g_free(r->name);
    g_free(r->ram);
}

/* ---- machines ---- */

typedef struct Case {
    const char *name, *accel, *machine;
    const char *more;
    bool cpu;
    bool snapshot; /* background-snapshot in place of a migration */
} Case;

static const Case cases[] = {
    { "q35-kvm", "kvm", "q35", "-smp 2", true },
    { "q35-interp", "interp", "q35", "", true },
    { "pc-kvm", "kvm", "pc", "", true },
    { "pc-interp", "interp", "pc", "-smp 3", true },
    { "q35-qtest", "qtest", "q35", "", false },
    { "none", "qtest", "none", "-uuid 00112233-4455-6677-8899-aabbccddeeff" },
    { "snapshot", "qtest", "none", "", false, true },
};

static void set_caps(QTestState *s, const Case *c)
{
    qtest_qmp_ok(s, "migrate-set-capabilities",
                 "{'capabilities': [{'capability': 'events', 'state': true},"
                 " {'capability': 'validate-uuid', 'state': %s},"
                 " {'capability': 'background-snapshot', 'state': %s}]}",
                 c->snapshot ? "false" : "true", c->snapshot ? "true" : "false");
}

/* RIP of the first CPU as the monitor shows it. */
static uint64_t shown_rip(QTestState *s)
{
    g_autofree char *regs = qtest_hmp(s, "info registers");
    const char *at = strstr(regs, "IP=");

    g_assert_nonnull(at);
    return g_ascii_strtoull(at + 3, NULL, 16);
}

static void check_content(QTestState *s, Reader *r, const Case *c)
{
    g_autofree char *mem = qtest_path(s, "mem"), *got = NULL;
    gsize len;

    g_assert_true(g_str_has_prefix(c->machine, "none") ? !strcmp(r->name, "none")
                                                       : strstr(r->name, c->machine) != NULL);
    g_assert_cmpuint(r->ram_size, ==, 2 << 20);
    g_assert_cmpuint(r->pages + r->zeros, >=, 512);
    qtest_qmp_ok(s, "pmemsave", "{'val': 0, 'size': %d, 'filename': '%s'}", 0xa0000, mem);
    g_assert_true(g_file_get_contents(mem, &got, &len, NULL));
    g_assert_cmpint(memcmp(got, r->ram, len), ==, 0);
    if (c->cpu) {
        uint64_t *rip = g_hash_table_lookup(r->values, "cpu/0.env.eip");

        g_assert_nonnull(rip);
        g_assert_cmphex(*rip, ==, shown_rip(s));
    }
    if (!strcmp(c->accel, "qtest")) {
        g_assert_cmphex(((uint64_t *)r->ram)[0x5000 / 8], ==, 0x1122334455667788);
    }
}

static void test_case(gconstpointer opaque)
{
    const Case *c = opaque;
    QTestState *s;
    g_autofree char *path = NULL, *data = NULL;
    Reader r = { .sections = g_hash_table_new(NULL, NULL),
                 .values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) };
    gsize len;

    if (!strcmp(c->accel, "kvm") && !qtest_have_kvm()) {
        g_test_skip("no KVM on this host");
        return;
    }
    s = !strcmp(c->accel, "qtest")
            ? qtest_init("-machine %s -m 2M %s", c->machine, c->more)
            : qtest_init_qmp("-accel %s -machine %s -m 2M -S %s", c->accel, c->machine, c->more);
    if (!strcmp(c->accel, "qtest")) {
        qtest_writeq(s, 0x5000, 0x1122334455667788);
    }
    set_caps(s, c);
    path = qtest_path(s, "stream");
    qtest_qmp_ok(s, "migrate", "{'uri': 'file:%s'}", path);
    for (const char *status = ""; strcmp(status, "completed");) {
        g_autoptr(JsonObject) event = qtest_event_wait(s, "MIGRATION");

        status = g_intern_string(json_object_get_string_member(
            json_object_get_object_member(event, "data"), "status"));
        g_assert_cmpstr(status, !=, "failed");
    }
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    r.data = (uint8_t *)data;
    r.len = len;
    r.desc = find_description(&r);
    read_stream(&r);
    check_content(s, &r, c);
    reader_clear(&r);
    qtest_quit(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("/vmdesc/%s", cases[i].name);
        g_test_add_data_func(name, &cases[i], test_case);
    }
    return g_test_run();
}
