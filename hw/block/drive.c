/*
 * -drive and -blockdev: checks the options and makes block backends.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "hw/block/block-private.h"
#include "hw/core/device.h"
#include "util/util.h"

/* Member as text, whatever its JSON type; NULL when it is not there.  Free with g_free(). */
static char *member_text(JsonObject *o, const char *name)
{
    JsonNode *node = json_object_get_member(o, name);

    if (!node || !JSON_NODE_HOLDS_VALUE(node)) {
        return NULL;
    }
    if (json_node_get_value_type(node) == G_TYPE_STRING) {
        return g_strdup(json_node_get_string(node));
    }
    if (json_node_get_value_type(node) == G_TYPE_BOOLEAN) {
        return g_strdup(json_node_get_boolean(node) ? "on" : "off");
    }
    return g_strdup_printf("%" G_GINT64_FORMAT, json_node_get_int(node));
}

static bool member_bool(JsonObject *o, const char *name, bool *value, Error **errp)
{
    g_autofree char *text = member_text(o, name);

    if (text && !parse_bool(text, value)) {
        error_setg(errp, "Parameter '%s' expects 'on' or 'off', not '%s'", name, text);
        return false;
    }
    return true;
}

/* Options whose listed values need nothing of us; any other value is refused. */
static const struct AcceptedOption {
    const char *name;
    const char *values[8]; /* NULL-terminated; empty: every value */
} accepted_options[] = {
    { "aio", { "threads", "native", "io_uring", NULL } },
    { "cache", { "none", "writeback", "writethrough", "directsync", "unsafe", NULL } },
    { "cache.direct", { "on", "off", NULL } },
    { "cache.no-flush", { "on", "off", NULL } },
    { "cache.writeback", { "on", NULL } },
    { "discard", { "unmap", "on", "ignore", "off", NULL } },
    { "detect-zeroes", { "off", NULL } },
    { "rerror", { "report", "auto", NULL } },
    { "werror", { "report", "enospc", "auto", NULL } },
    { "media", { "disk", NULL } },
    { "snapshot", { "off", NULL } },
    { "auto-read-only", { "on", "off", NULL } },
    { "locking", { "off", "on", "auto", NULL } },
    { "copy-on-read", { "off", NULL } },
    { "force-share", { "on", "off", NULL } },
};

static bool check_accepted(const char *option, const char *name, const char *value, Error **errp)
{
    for (size_t i = 0; i < ARRAY_SIZE(accepted_options); i++) {
        const struct AcceptedOption *a = &accepted_options[i];

        if (!g_str_equal(a->name, name)) {
            continue;
        }
        if (!value || g_strv_contains(a->values, value)) {
            return true;
        }
        error_setg(errp, "%s: '%s=%s' is not supported", option, name, value);
        return false;
    }
    error_setg(errp, "%s: Invalid parameter '%s'", option, name);
    return false;
}

/* Every member must be in `known` or be one of the accepted options. */
static bool check_members(JsonObject *o, const char *option, const char *const *known, Error **errp)
{
    g_autoptr(GList) names = json_object_get_members(o);

    for (GList *l = names; l; l = l->next) {
        g_autofree char *value = member_text(o, l->data);

        if (!g_strv_contains(known, l->data) && !check_accepted(option, l->data, value, errp)) {
            return false;
        }
    }
    return true;
}

/* Members that both ways of making an image have. */
static void take_common(BlockBackend *b, JsonObject *opts)
{
    g_autofree char *discard = member_text(opts, "discard");
    g_autofree char *locking = member_text(opts, "locking");

    b->unmap = g_strcmp0(discard, "unmap") == 0 || g_strcmp0(discard, "on") == 0;
    b->no_locking = g_strcmp0(locking, "off") == 0;
}

/* The virtio-blk-pci of a -drive with if=virtio. */
static bool add_virtio_disk(const char *id, Error **errp)
{
    g_autoptr(JsonObject) props = json_object_new();

    json_object_set_string_member(props, "driver", "virtio-blk-pci");
    json_object_set_string_member(props, "drive", id);
    return device_add(props, errp) != NULL;
}

/* The ide-hd of a -drive with if=ide. */
static bool add_ide_disk(JsonObject *opts, const char *id, Error **errp)
{
    g_autoptr(JsonObject) props = json_object_new();
    g_autofree char *index = member_text(opts, "index");
    g_autofree char *bus = member_text(opts, "bus");
    g_autofree char *unit = member_text(opts, "unit");
    uint64_t i;

    json_object_set_string_member(props, "driver", "ide-hd");
    json_object_set_string_member(props, "drive", id);
    if (index) {
        if (!parse_u64(index, &i) || i > 3 || bus || unit) {
            error_setg(errp, "-drive: index=%s must be 0 to 3, without bus and unit", index);
            return false;
        }
        bus = g_strdup_printf("%" G_GUINT64_FORMAT, i / 2);
        unit = g_strdup_printf("%" G_GUINT64_FORMAT, i % 2);
    }
    if (bus) {
        g_autofree char *name = g_strconcat("ide.", bus, NULL);

        json_object_set_string_member(props, "bus", name);
    }
    if (unit) {
        json_object_set_string_member(props, "unit", unit);
    }
    return device_add(props, errp) != NULL;
}

static char *new_drive_id(const char *interface)
{
    static unsigned counter;

    return g_strdup_printf("%s%u", interface, counter++);
}

static bool check_drive(JsonObject *opts, const char *interface, bool *ret_readonly, Error **errp)
{
    static const char *const known[] = { "id", "if", "file", "format", "readonly", "read-only",
                                         "index", "bus", "unit", NULL };
    static const char *const interfaces[] = { "ide", "none", "virtio", NULL };
    g_autofree char *format = member_text(opts, "format");

    if (!check_members(opts, "-drive", known, errp) ||
        !member_bool(opts, "readonly", ret_readonly, errp) ||
        !member_bool(opts, "read-only", ret_readonly, errp)) {
        return false;
    }
    if (!g_strv_contains(interfaces, interface)) {
        error_setg(errp, "-drive: 'if=%s' is not supported; there are none, ide and virtio",
                   interface);
        return false;
    }
    if (format && !g_str_equal(format, "raw")) {
        error_setg(errp, "-drive: 'format=%s' is not supported; there is raw", format);
        return false;
    }
    if (g_str_equal(interface, "virtio") &&
        (json_object_has_member(opts, "bus") || json_object_has_member(opts, "unit"))) {
        error_setg(errp, "-drive: 'bus' and 'unit' are for if=ide; use -device virtio-blk-pci");
        return false;
    }
    return true;
}

bool drive_add(JsonObject *opts, Error **errp)
{
    g_autofree char *id = member_text(opts, "id");
    g_autofree char *interface = member_text(opts, "if");
    g_autofree char *file = member_text(opts, "file");
    g_autofree char *cache = member_text(opts, "cache");
    bool readonly = false, ok = true;

    if (!interface) {
        interface = g_strdup("ide");
    }
    if (!check_drive(opts, interface, &readonly, errp)) {
        return false;
    }
    if (!file) {
        error_setg(errp, "-drive: 'file' is missing");
        return false;
    }
    if (!id) {
        id = new_drive_id(interface);
    }
    if (block_backend_by_id(id)) {
        error_setg(errp, "-drive: Duplicate ID '%s' for drive", id);
        return false;
    }
    BlockBackend *b = block_backend_new(id, "raw", file, readonly, errp);
    if (!b) {
        return false;
    }
    b->no_flush = g_strcmp0(cache, "unsafe") == 0;
    take_common(b, opts);
    if (g_str_equal(interface, "ide")) {
        ok = add_ide_disk(opts, id, errp);
    } else if (g_str_equal(interface, "virtio")) {
        ok = add_virtio_disk(id, errp);
    }
    if (!ok) {
        block_backend_free(b);
    }
    return ok;
}

/* cache: {direct, no-flush}; only no-flush changes what is done. */
static void take_cache(BlockBackend *b, JsonObject *opts)
{
    JsonNode *node = json_object_get_member(opts, "cache");

    if (node && JSON_NODE_HOLDS_OBJECT(node)) {
        member_bool(json_node_get_object(node), "direct", &b->direct, NULL);
        member_bool(json_node_get_object(node), "no-flush", &b->no_flush, NULL);
    }
    member_bool(opts, "cache.direct", &b->direct, NULL);
    member_bool(opts, "cache.no-flush", &b->no_flush, NULL);
}

static BlockBackend *blockdev_file(JsonObject *opts, const char *name, bool readonly, Error **errp)
{
    static const char *const known[] = { "driver", "node-name", "filename", "read-only", "cache",
                                         NULL };
    g_autofree char *file = member_text(opts, "filename");

    if (!check_members(opts, "blockdev", known, errp)) {
        return NULL;
    }
    if (!file) {
        error_setg(errp, "Parameter 'filename' is missing");
        return NULL;
    }
    return block_backend_new(name, "file", file, readonly, errp);
}

static BlockBackend *blockdev_raw(JsonObject *opts, const char *name, bool readonly, Error **errp)
{
    static const char *const known[] = { "driver", "node-name", "file", "read-only", "cache",
                                         NULL };
    g_autofree char *file = member_text(opts, "file");

    if (!check_members(opts, "blockdev", known, errp)) {
        return NULL;
    }
    BlockBackend *below = file ? block_backend_by_id(file) : NULL;
    if (!below || !g_str_equal(below->driver, "file")) {
        error_setg(errp, "Cannot find a file node '%s' for 'file' of raw node '%s'",
                   file ? file : "", name);
        return NULL;
    }
    if (!block_backend_attach(below, name, false, errp)) {
        return NULL;
    }
    BlockBackend *b = block_backend_new(name, "raw", NULL, readonly, errp);
    b->file = below;
    return b;
}

bool blockdev_add(JsonObject *opts, Error **errp)
{
    g_autofree char *driver = member_text(opts, "driver");
    g_autofree char *name = member_text(opts, "node-name");
    bool readonly = false;
    BlockBackend *b;

    if (!member_bool(opts, "read-only", &readonly, errp)) {
        return false;
    }
    if (!driver || !name) {
        error_setg(errp, "Parameter '%s' is missing", driver ? "node-name" : "driver");
        return false;
    }
    if (block_backend_by_id(name)) {
        error_setg(errp, "Duplicate nodes with node-name='%s'", name);
        return false;
    }
    if (g_str_equal(driver, "file") || g_str_equal(driver, "host_device")) {
        b = blockdev_file(opts, name, readonly, errp);
    } else if (g_str_equal(driver, "raw")) {
        b = blockdev_raw(opts, name, readonly, errp);
    } else {
        error_setg(errp, "Parameter 'driver' does not accept value '%s'; there are file and raw",
                   driver);
        return false;
    }
    if (b) {
        take_cache(b, opts);
        take_common(b, opts);
    }
    return b != NULL;
}

bool blockdev_del(const char *node_name, Error **errp)
{
    BlockBackend *b = block_backend_by_id(node_name);

    if (!b) {
        error_setg(errp, "Failed to find node with node-name='%s'", node_name);
        return false;
    }
    if (b->user) {
        error_setg(errp, "Node %s is in use", node_name);
        return false;
    }
    if (b->file) {
        block_backend_detach(b->file);
    }
    block_backend_free(b);
    return true;
}
