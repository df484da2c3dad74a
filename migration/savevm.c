/*
 * Writes a stream: header, commands, sections, device state, description.
 *
 * Belongs to the source's migration thread.  Device state is saved under the machine
 * lock (the caller takes it); live sections are written without it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "savevm.h"

#include <string.h>

#include "config.h"
#include "stream-internal.h"
#include "system/ramblock.h"
#include "trace/migration.h"
#include "util/fault.h"
#include "vmstate-internal.h"
#include "wire.h"

/* ---- header and commands ---- */

void savevm_send_header(Migration *m, Stream *s)
{
    g_autoptr(StreamConfiguration) c = NULL;
    g_autoptr(Error) err = NULL;

    stream_put_be32(s, WIRE_FILE_MAGIC);
    stream_put_be32(s, WIRE_FILE_VERSION);
    if (!m->config->send_configuration) {
        return;
    }
    stream_put_u8(s, WIRE_CONFIGURATION);
    c = stream_configuration_new(m->config);
    if (m->vmdesc) {
        json_builder_set_member_name(m->vmdesc, "configuration");
        json_builder_begin_object(m->vmdesc);
    }
    if (!vmstate_save_described(s, &vmstate_configuration, c, m->vmdesc, &err)) {
        stream_error_take(s, -EINVAL, g_steal_pointer(&err));
    }
    if (m->vmdesc) {
        json_builder_end_object(m->vmdesc);
    }
}

void savevm_send_command(Stream *s, unsigned cmd, const void *payload, uint16_t len)
{
    uint8_t header[WIRE_COMMAND_HEADER_LEN];

    trace_savevm_send_command(wire_command_name(cmd), len);
    wire_command_header_encode(header, cmd, len);
    stream_put_bytes(s, header, sizeof(header));
    stream_put_bytes(s, payload, len);
    stream_flush(s);
}

void savevm_send_open_return_path(Stream *s)
{
    savevm_send_command(s, WIRE_CMD_OPEN_RETURN_PATH, NULL, 0);
}

void savevm_send_ping(Stream *s, uint32_t cookie)
{
    uint8_t payload[4];

    wire_put_be32(payload, cookie);
    savevm_send_command(s, WIRE_CMD_PING, payload, sizeof(payload));
}

void savevm_send_packaged(Stream *s, const void *blob, size_t len)
{
    uint8_t payload[4];

    g_assert(len <= UINT32_MAX);
    wire_put_be32(payload, len);
    savevm_send_command(s, WIRE_CMD_PACKAGED, payload, sizeof(payload));
    stream_put_bytes(s, blob, len);
    stream_flush(s);
}

void savevm_send_eof(Stream *s)
{
    stream_put_u8(s, WIRE_EOF);
}

/* ---- sections ---- */

static void section_begin(Stream *s, const SaveEntry *e, WireElement kind)
{
    trace_savevm_section(e->idstr, e->instance_id, wire_element_name(kind), stream_offset(s));
    stream_put_u8(s, kind);
    stream_put_be32(s, e->section_id);
    if (kind == WIRE_SECTION_START || kind == WIRE_SECTION_FULL) {
        stream_put_str8(s, e->idstr);
        stream_put_be32(s, e->instance_id);
        stream_put_be32(s, e->version_id);
    }
}

static void section_end(Migration *m, Stream *s, const SaveEntry *e)
{
    if (m->config->send_section_footer) {
        stream_put_u8(s, WIRE_FOOTER);
        stream_put_be32(s, e->section_id);
    }
}

typedef bool LiveBody(Migration *m, Stream *s, Error **errp);

static bool live_section(Migration *m, const SaveEntry *e, WireElement kind, LiveBody *body,
                         Error **errp)
{
    section_begin(m->out, e, kind);
    if (!body(m, m->out, errp)) {
        error_prefix(errp, "saving '%s': ", e->idstr);
        return false;
    }
    section_end(m, m->out, e);
    return true;
}

bool savevm_setup(Migration *m, Error **errp)
{
    SaveRegistry *reg = save_registry();

    for (guint i = 0; i < reg->entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(reg->entries, i);

        if (e->live && !live_section(m, e, WIRE_SECTION_START, e->live->setup, errp)) {
            return false;
        }
    }
    stream_flush(m->out);
    return !stream_error(m->out, errp);
}

bool savevm_iterate(Migration *m, Error **errp)
{
    SaveRegistry *reg = save_registry();

    for (guint i = 0; i < reg->entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(reg->entries, i);

        if (e->live && !live_section(m, e, WIRE_SECTION_PART, e->live->iterate, errp)) {
            return false;
        }
    }
    if (m->multifd_send) {
        /* The end of a section may be what an old destination's channels wait for. */
        stream_flush(m->out);
    }
    return !stream_error(m->out, errp);
}

bool savevm_mark_live(Migration *m, Error **errp)
{
    SaveRegistry *reg = save_registry();

    for (guint i = 0; i < reg->entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(reg->entries, i);

        if (e->live && e->live->mark &&
            !live_section(m, e, WIRE_SECTION_PART, e->live->mark, errp)) {
            return false;
        }
    }
    return !stream_error(m->out, errp);
}

bool savevm_complete_live(Migration *m, bool postcopied, Error **errp)
{
    SaveRegistry *reg = save_registry();

    for (guint i = 0; i < reg->entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(reg->entries, i);

        if (e->live && (m->in_postcopy && e->live->can_postcopy(m)) == postcopied &&
            !live_section(m, e, WIRE_SECTION_END, e->live->complete, errp)) {
            return false;
        }
    }
    return !stream_error(m->out, errp);
}

/* ---- device state ---- */

static void describe_device(JsonBuilder *json, const SaveEntry *e)
{
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "name");
    json_builder_add_string_value(json, e->idstr);
    json_builder_set_member_name(json, "instance_id");
    json_builder_add_int_value(json, e->instance_id);
}

static bool save_state(Stream *s, const SaveEntry *e, JsonBuilder *json, Error **errp)
{
    if (fault_point(FAULT_DEVICE_SAVE)) {
        error_setg(errp, "the fault point 'device-save' is armed");
        return false;
    }
    return vmstate_save_described(s, e->vmsd, e->opaque, json, errp);
}

static bool save_device(Migration *m, Stream *s, const SaveEntry *e, Error **errp)
{
    JsonBuilder *json = m->vmdesc;

    section_begin(s, e, WIRE_SECTION_FULL);
    if (json) {
        describe_device(json, e);
    }
    if (!save_state(s, e, json, errp)) {
        error_prefix(errp, "saving '%s' instance %u: ", e->idstr, e->instance_id);
        return false;
    }
    if (json) {
        json_builder_end_object(json);
    }
    section_end(m, s, e);
    return !stream_error(s, errp);
}

bool savevm_save_devices(Migration *m, Stream *s, Error **errp)
{
    SaveRegistry *reg = save_registry();

    for (guint i = 0; i < reg->entries->len; i++) {
        const SaveEntry *e = g_ptr_array_index(reg->entries, i);

        if (e->vmsd && vmstate_section_needed(e->vmsd, e->opaque) &&
            !save_device(m, s, e, errp)) {
            return false;
        }
    }
    return true;
}

/* ---- description ---- */

JsonBuilder *savevm_vmdesc_begin(void)
{
    JsonBuilder *json = json_builder_new_immutable();

    json_builder_begin_object(json);
    return json;
}

void savevm_vmdesc_devices(JsonBuilder *json)
{
    json_builder_set_member_name(json, "page_size");
    json_builder_add_int_value(json, TARGET_PAGE_SIZE);
    json_builder_set_member_name(json, "devices");
    json_builder_begin_array(json);
}

void savevm_send_vmdesc(Migration *m, Stream *s)
{
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    if (!m->vmdesc) {
        return;
    }
    json_builder_end_array(m->vmdesc);
    json_builder_end_object(m->vmdesc);
    root = json_builder_get_root(m->vmdesc);
    text = json_to_string(root, false);
    g_clear_object(&m->vmdesc);
    stream_put_u8(s, WIRE_VMDESCRIPTION);
    stream_put_be32(s, strlen(text));
    stream_put_bytes(s, text, strlen(text));
}
