/*
 * Device sections of captured streams: a description made from the JSON that a stream
 * carries must load each section to its last byte, save the same bytes again, and
 * describe itself with the same JSON.  Cut anywhere, the load must fail.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/stream-internal.h"
#include "migration/vmstate-internal.h"
#include "migration/wire.h"
#include "util/util.h"

/* What descriptions are made of; freed after each section. */
static GPtrArray *made;

static void *keep(void *p)
{
    g_ptr_array_add(made, p);
    return p;
}

/* Fields of kinds that only a device knows are taken as bytes, under their own name. */
static bool get_opaque(Stream *s, void *pv, size_t size, const VMStateField *f, Error **errp)
{
    return stream_get_bytes(s, pv, size) || stream_error(s, errp) == 0;
}

static void put_opaque(Stream *s, const void *pv, size_t size, const VMStateField *f)
{
    stream_put_bytes(s, pv, size);
}

static const VMStateInfo *info_for(const char *type)
{
    static const VMStateInfo *const known[] = {
        &vmstate_info_bool, &vmstate_info_int8, &vmstate_info_int16, &vmstate_info_int32,
        &vmstate_info_int64, &vmstate_info_uint8, &vmstate_info_uint16, &vmstate_info_uint32,
        &vmstate_info_uint64, &vmstate_info_buffer,
    };
    VMStateInfo *info;

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (!strcmp(known[i]->name, type)) {
            return known[i];
        }
    }
    info = keep(g_new0(VMStateInfo, 1));
    info->name = keep(g_strdup(type));
    info->get = get_opaque;
    info->put = put_opaque;
    return info;
}

static VMStateDescription *make_vmsd(JsonObject *o, size_t *offset);

/*
 * Opaque kinds may carry members that describe what is inside them; Ferry's own
 * descriptions do not, so they are not compared.
 */
static void strip_opaque(JsonObject *o)
{
    json_object_remove_member(o, "vmsd_name");
    json_object_remove_member(o, "version");
    json_object_remove_member(o, "fields");
}

static VMStateField make_field(JsonObject *o, size_t *offset)
{
    const char *type = json_object_get_string_member(o, "type");
    size_t size = json_object_get_int_member(o, "size");
    size_t n = json_object_has_member(o, "array_len") ? json_object_get_int_member(o, "array_len")
                                                      : 1;
    VMStateField f = { .name = keep(g_strdup(json_object_get_string_member(o, "name"))) };

    *offset = ROUND_UP(*offset, 8);
    f.offset = *offset;
    f.num = n;
    f.flags = n > 1 ? VMS_ARRAY : VMS_SINGLE;
    if (json_object_has_member(o, "struct")) {
        size_t inner = 0;
        f.vmsd = make_vmsd(json_object_get_object_member(o, "struct"), &inner);
        f.flags |= VMS_STRUCT;
        f.size = ROUND_UP(inner, 8);
    } else {
        strip_opaque(o);
        f.info = info_for(type);
        f.size = size;
    }
    *offset += f.size * n;
    return f;
}

static VMStateDescription *make_vmsd(JsonObject *o, size_t *offset)
{
    VMStateDescription *v = keep(g_new0(VMStateDescription, 1));
    GArray *fields = g_array_new(true, true, sizeof(VMStateField));
    JsonArray *list = json_object_get_array_member(o, "fields");

    v->name = keep(g_strdup(json_object_get_string_member(o, "vmsd_name")));
    v->version_id = json_object_get_int_member(o, "version");
    for (guint i = 0; i < json_array_get_length(list); i++) {
        VMStateField f = make_field(json_array_get_object_element(list, i), offset);
        g_array_append_val(fields, f);
    }
    v->fields = keep(g_array_free(fields, false));
    if (json_object_has_member(o, "subsections")) {
        JsonArray *subs = json_object_get_array_member(o, "subsections");
        guint n = json_array_get_length(subs);
        const VMStateDescription **s = keep(g_new0(const VMStateDescription *, n + 1));
        for (guint i = 0; i < n; i++) {
            s[i] = make_vmsd(json_array_get_object_element(subs, i), offset);
        }
        v->subsections = s;
    }
    return v;
}

/* The texts are long: show where they part. */
static void check_text(const char *mine, const char *theirs)
{
    size_t i = 0;

    while (mine[i] && mine[i] == theirs[i]) {
        i++;
    }
    if (mine[i] != theirs[i]) {
        size_t from = i > 60 ? i - 60 : 0;
        g_error("described as %.120s instead of %.120s", mine + from, theirs + from);
    }
}

/* The description of a section: the members that the section itself adds are taken away. */
static void check_section(const uint8_t *body, size_t len, JsonObject *dev)
{
    size_t size = 0;
    VMStateDescription *v = make_vmsd(dev, &size);
    g_autofree uint8_t *state = g_malloc0(size + 8);
    g_autoptr(Stream) in = stream_new_input_memory(body, len);
    g_autoptr(Stream) out = stream_new_output_memory();
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(JsonNode) mine = NULL;
    g_autoptr(JsonNode) theirs = json_node_init_object(json_node_alloc(), dev);
    g_autofree char *a = NULL, *b = NULL;
    const void *saved;
    Error *err = NULL;
    size_t n;

    vmstate_load(in, v, state, v->version_id, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(stream_offset(in), ==, len);
    json_builder_begin_object(json);
    vmstate_save_described(out, v, state, json, &err);
    g_assert_no_error(err);
    json_builder_end_object(json);
    saved = stream_memory_data(out, &n);
    /* unused_buffer is written as it was read here (opaque), so all bytes are the same. */
    g_assert_cmpmem(saved, n, body, len);
    json_object_remove_member(dev, "name");
    json_object_remove_member(dev, "instance_id");
    mine = json_builder_get_root(json);
    a = json_to_string(mine, false);
    b = json_to_string(theirs, false);
    check_text(a, b);

    for (size_t cut = 0; cut < len; cut += 1 + cut / 64) {
        g_autofree uint8_t *copy = g_memdup2(body, MAX(cut, 1));
        g_autoptr(Stream) s = stream_new_input_memory(copy, cut);
        g_autoptr(Error) e = NULL;
        bool ok = vmstate_load(s, v, state, v->version_id, &e);
        g_assert_true(ok == (e == NULL));
        /* A subsection may be missing, half of one may not be. */
        g_assert_true(!ok || v->subsections);
    }
}

/* Walks RAM records: only their length matters here. */
static void skip_ram(Stream *s)
{
    char name[256];

    for (;;) {
        uint64_t word = stream_get_be64(s);
        unsigned flags = wire_ram_flags(word);
        g_assert_cmpint(stream_error(s, NULL), ==, 0);
        g_assert_true(wire_ram_word_check(word, false, NULL));
        if (wire_ram_has_name(flags)) {
            g_assert_true(stream_get_str8(s, name));
        }
        if (flags & WIRE_RAM_EOS) {
            return;
        }
        if (flags & WIRE_RAM_MEM_SIZE) {
            for (uint64_t left = wire_ram_offset(word); left > 0;) {
                g_assert_true(stream_get_str8(s, name));
                left -= stream_get_be64(s);
            }
        }
        stream_skip(s, flags & WIRE_RAM_PAGE ? 4096 : flags & WIRE_RAM_ZERO ? 1 : 0);
    }
}

static JsonObject *find_device(JsonArray *devices, const char *name, int64_t instance)
{
    for (guint i = 0; i < json_array_get_length(devices); i++) {
        JsonObject *d = json_array_get_object_element(devices, i);
        /* Those that were checked already have lost their name. */
        if (json_object_has_member(d, "name") &&
            !strcmp(json_object_get_string_member(d, "name"), name) &&
            json_object_get_int_member(d, "instance_id") == instance) {
            return d;
        }
    }
    g_error("no description of %s/%d", name, (int)instance);
}

/* Body length: up to the footer of this section that is followed by another element. */
static size_t body_length(const uint8_t *p, size_t left, uint32_t id)
{
    for (size_t n = 0; n + 5 < left; n++) {
        if (p[n] == WIRE_FOOTER && wire_get_be32(p + n + 1) == id &&
            (p[n + 5] == WIRE_SECTION_FULL || p[n + 5] == WIRE_EOF)) {
            return n;
        }
    }
    g_error("section %u has no footer", id);
}

static unsigned walk(const uint8_t *data, size_t len, JsonArray *devices)
{
    g_autoptr(Stream) s = stream_new_input_memory(data, len);
    unsigned checked = 0;
    char name[256];

    stream_skip(s, WIRE_FILE_HEADER_LEN);
    for (;;) {
        uint8_t type = stream_get_u8(s);
        g_assert_cmpint(stream_error(s, NULL), ==, 0);
        if (type == WIRE_EOF) {
            return checked;
        }
        if (type == WIRE_CONFIGURATION) {
            stream_skip(s, stream_get_be32(s));
            continue;
        }
        if (type == WIRE_COMMAND) {
            stream_get_be16(s);
            stream_skip(s, stream_get_be16(s));
            continue;
        }
        uint32_t id = stream_get_be32(s);
        if (type == WIRE_SECTION_START || type == WIRE_SECTION_FULL) {
            g_assert_true(stream_get_str8(s, name));
            uint32_t instance = stream_get_be32(s);
            stream_skip(s, 4);
            if (type == WIRE_SECTION_FULL) {
                size_t at = stream_offset(s);
                size_t n = body_length(data + at, len - at, id);
                g_test_message("%s/%u: %zu bytes", name, instance, n);
                made = g_ptr_array_new_with_free_func(g_free);
                check_section(data + at, n, find_device(devices, name, instance));
                g_ptr_array_unref(made);
                stream_skip(s, n);
                checked++;
            }
        }
        if (type != WIRE_SECTION_FULL) {
            skip_ram(s);
        }
        g_assert_cmpuint(stream_get_u8(s), ==, WIRE_FOOTER);
        g_assert_cmpuint(stream_get_be32(s), ==, id);
    }
}

static void test_stream(gconstpointer file)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "data", "streams", file, NULL);
    g_autofree char *data = NULL;
    g_autoptr(JsonParser) parser = json_parser_new();
    static const char *const starts[] = { "{\"configuration\"", "{\"page_size\"" };
    const char *json = NULL;
    Error *err = NULL;
    JsonArray *devices;
    gsize len;

    g_file_get_contents(path, &data, &len, &err);
    g_assert_no_error(err);
    for (size_t i = 0; i < ARRAY_SIZE(starts) && !json; i++) {
        json = memmem(data, len, starts[i], strlen(starts[i]));
    }
    g_assert_nonnull(json);
    json_parser_load_from_data(parser, json, len - (json - data), &err);
    g_assert_no_error(err);
    devices = json_object_get_array_member(json_node_get_object(json_parser_get_root(parser)),
                                           "devices");
    unsigned expect = json_array_get_length(devices);
    g_assert_cmpuint(walk((uint8_t *)data, len, devices), ==, expect);
}

int main(int argc, char **argv)
{
    static const char *const files[] = {
        "microvm-32M.qemu72-tcg.bin", "microvm-32M.qemu111-kvm.bin",
        "microvm-smp2-16M.qemu72-kvm.bin", "microvm-rng-16M.qemu111-kvm.bin",
        "microvm-default-16M.qemu72-kvm.bin",
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        g_autofree char *name = g_strdup_printf("/vmstate-streams/%s", files[i]);
        g_test_add_data_func(name, files[i], test_stream);
    }
    return g_test_run();
}
