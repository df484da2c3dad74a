/*
 * Addresses of migration channels: URI, QMP structure, option of the command line.
 *
 * Pure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "migration/channel.h"
#include "util/options.h"
#include "util/util.h"

#define URI_FORMS \
    "tcp:HOST:PORT, unix:PATH, vsock:CID:PORT, fd:NAME, exec:COMMAND, file:NAME[,offset=N]"

void migrate_address_free(MigrateAddress *a)
{
    if (!a) {
        return;
    }
    socket_addr_free(a->socket);
    g_strfreev(a->args);
    g_free(a->filename);
    g_free(a);
}

MigrateAddress *migrate_address_copy(const MigrateAddress *a)
{
    MigrateAddress *c = g_new0(MigrateAddress, 1);

    c->transport = a->transport;
    c->socket = a->socket ? socket_addr_copy(a->socket) : NULL;
    c->args = g_strdupv(a->args);
    c->filename = g_strdup(a->filename);
    c->offset = a->offset;
    return c;
}

char *migrate_address_to_str(const MigrateAddress *a)
{
    g_autofree char *words = NULL;

    switch (a->transport) {
    case MIG_TRANSPORT_SOCKET:
        return socket_addr_to_str(a->socket);
    case MIG_TRANSPORT_EXEC:
        words = g_strjoinv(" ", a->args);
        return g_strdup_printf("exec:%s", words);
    case MIG_TRANSPORT_FILE:
        return a->offset ? g_strdup_printf("file:%s,offset=0x%" G_GINT64_MODIFIER "x",
                                           a->filename, a->offset)
                         : g_strdup_printf("file:%s", a->filename);
    }
    g_assert_not_reached();
}

static bool parse_file(MigrateAddress *a, const char *text, Error **errp)
{
    static const char key[] = ",offset=";
    const char *opt = strstr(text, key);

    a->transport = MIG_TRANSPORT_FILE;
    a->filename = opt ? g_strndup(text, opt - text) : g_strdup(text);
    if (!a->filename[0]) {
        error_setg(errp, "a file address needs a name: file:NAME[,offset=N]");
        return false;
    }
    if (opt && (!parse_size(opt + strlen(key), 'B', &a->offset) || a->offset > INT64_MAX)) {
        error_setg(errp, "file offset '%s' is not a size", opt + strlen(key));
        return false;
    }
    return true;
}

MigrateAddress *migrate_address_parse(const char *uri, Error **errp)
{
    g_autoptr(MigrateAddress) a = g_new0(MigrateAddress, 1);

    if (g_str_has_prefix(uri, "exec:")) {
        if (!uri[5]) {
            error_setg(errp, "an exec address needs a command: exec:COMMAND");
            return NULL;
        }
        a->transport = MIG_TRANSPORT_EXEC;
        a->args = g_new0(char *, 4);
        a->args[0] = g_strdup("/bin/sh");
        a->args[1] = g_strdup("-c");
        a->args[2] = g_strdup(uri + 5);
        return g_steal_pointer(&a);
    }
    if (g_str_has_prefix(uri, "file:")) {
        return parse_file(a, uri + 5, errp) ? g_steal_pointer(&a) : NULL;
    }
    if (g_str_has_prefix(uri, "tcp:") || g_str_has_prefix(uri, "unix:") ||
        g_str_has_prefix(uri, "vsock:") || g_str_has_prefix(uri, "fd:")) {
        a->transport = MIG_TRANSPORT_SOCKET;
        a->socket = socket_addr_parse(uri, errp);
        return a->socket ? g_steal_pointer(&a) : NULL;
    }
    if (g_str_has_prefix(uri, "rdma:")) {
        error_setg(errp, "migration over RDMA is not supported by this build");
        return NULL;
    }
    error_setg(errp, "unknown migration address '%s'; there are " URI_FORMS, uri);
    return NULL;
}

/* QMP. */

static char **words_from_list(const GPtrArray *list)
{
    char **words = g_new0(char *, list->len + 1);

    for (guint i = 0; i < list->len; i++) {
        words[i] = g_strdup(g_ptr_array_index(list, i));
    }
    return words;
}

MigrateAddress *migrate_address_from_qapi(const MigrationAddress *addr, Error **errp)
{
    g_autoptr(MigrateAddress) a = g_new0(MigrateAddress, 1);

    switch (addr->transport) {
    case MIGRATION_ADDRESS_TYPE_SOCKET:
        a->transport = MIG_TRANSPORT_SOCKET;
        a->socket = socket_addr_from_qapi(&addr->u.socket, errp);
        return a->socket ? g_steal_pointer(&a) : NULL;
    case MIGRATION_ADDRESS_TYPE_EXEC:
        a->transport = MIG_TRANSPORT_EXEC;
        if (!addr->u.exec.args || !addr->u.exec.args->len) {
            error_setg(errp, "an exec address needs at least the program in args");
            return NULL;
        }
        a->args = words_from_list(addr->u.exec.args);
        return g_steal_pointer(&a);
    case MIGRATION_ADDRESS_TYPE_FILE:
        a->transport = MIG_TRANSPORT_FILE;
        a->filename = g_strdup(addr->u.file.filename);
        a->offset = addr->u.file.offset;
        if (!a->filename[0] || a->offset > INT64_MAX) {
            error_setg(errp, "a file address needs a filename and an offset below 2^63");
            return NULL;
        }
        return g_steal_pointer(&a);
    default:
        error_setg(errp, "migration over RDMA is not supported by this build");
        return NULL;
    }
}

/* One of type main, and where that is allowed one of type cpr. */
static MigrateAddress *from_channels(const GPtrArray *channels, MigrateAddress **ret_cpr,
                                     Error **errp)
{
    const MigrationChannel *of[2] = { NULL, NULL };
    g_autoptr(MigrateAddress) main_addr = NULL;

    for (guint i = 0; i < channels->len; i++) {
        const MigrationChannel *c = channels->pdata[i];
        bool cpr = c->channel_type == MIGRATION_CHANNEL_TYPE_CPR;

        if (of[cpr] || (cpr && !ret_cpr)) {
            error_setg(errp, of[cpr] ? "'channels' has two entries of channel-type %s"
                                     : "an entry of channel-type %s is not expected here",
                       migration_channel_type_str(c->channel_type));
            return NULL;
        }
        of[cpr] = c;
    }
    if (!of[0]) {
        error_setg(errp, "'channels' must have exactly one entry of channel-type main");
        return NULL;
    }
    main_addr = migrate_address_from_qapi(of[0]->addr, errp);
    if (main_addr && of[1]) {
        *ret_cpr = migrate_address_from_qapi(of[1]->addr, errp);
        if (!*ret_cpr) {
            return NULL;
        }
    }
    return g_steal_pointer(&main_addr);
}

MigrateAddress *migrate_address_from_args(const char *uri, const GPtrArray *channels,
                                          Error **errp)
{
    return migrate_channels_from_args(uri, channels, NULL, errp);
}

MigrateAddress *migrate_channels_from_args(const char *uri, const GPtrArray *channels,
                                           MigrateAddress **ret_cpr, Error **errp)
{
    if (!uri == !channels) {
        error_setg(errp, "exactly one of 'uri' and 'channels' is needed");
        return NULL;
    }
    if (uri) {
        return migrate_address_parse(uri, errp);
    }
    return from_channels(channels, ret_cpr, errp);
}

/* Command line. */

/* Numbers and booleans come as strings from dotted keys: make them what the schema says. */
static bool retype_member(JsonObject *o, const char *key, Error **errp)
{
    const char *text;
    uint64_t n;
    bool b;

    if (!json_object_has_member(o, key) ||
        json_node_get_value_type(json_object_get_member(o, key)) != G_TYPE_STRING) {
        return true;
    }
    text = json_object_get_string_member(o, key);
    if (!strcmp(key, "offset") || !strcmp(key, "to")) {
        if (!parse_u64(text, &n) || n > INT64_MAX) {
            error_setg(errp, "'%s' must be a number, not '%s'", key, text);
            return false;
        }
        json_object_set_int_member(o, key, n);
    } else {
        if (!parse_bool(text, &b)) {
            error_setg(errp, "'%s' must be on or off, not '%s'", key, text);
            return false;
        }
        json_object_set_boolean_member(o, key, b);
    }
    return true;
}

static bool retype_address(JsonObject *top, Error **errp)
{
    static const char *const keys[] = { "offset", "to", "ipv4", "ipv6", "keep-alive", "abstract",
                                        "tight" };
    JsonNode *addr = json_object_get_member(top, "addr");

    if (!addr || !JSON_NODE_HOLDS_OBJECT(addr)) {
        return true; /* the schema will say what is wrong */
    }
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!retype_member(json_node_get_object(addr), keys[i], errp)) {
            return false;
        }
    }
    return true;
}

/* A MigrationChannel as JSON or dotted keys. */
static MigrationChannel *channel_from_option(const char *arg, Error **errp)
{
    g_autoptr(JsonNode) node = NULL;
    g_autoptr(JsonObject) o = options_parse(arg, NULL, errp);

    if (!o || (arg[0] != '{' && !retype_address(o, errp))) {
        return NULL;
    }
    node = json_node_init_object(json_node_alloc(), o);
    return migration_channel_from_json(node, errp);
}

static bool is_channel(const char *arg)
{
    return arg[0] == '{' || strstr(arg, "channel-type=");
}

MigrateAddress *migrate_address_from_option(const char *arg, Error **errp)
{
    g_autoptr(MigrationChannel) c = NULL;

    if (!is_channel(arg)) {
        return migrate_address_parse(arg, errp);
    }
    c = channel_from_option(arg, errp);
    return c ? migrate_address_from_qapi(c->addr, errp) : NULL;
}

MigrateAddress *migrate_cpr_address_from_option(const char *arg, Error **errp)
{
    g_autoptr(MigrationChannel) c = is_channel(arg) ? channel_from_option(arg, errp) : NULL;

    return c && c->channel_type == MIGRATION_CHANNEL_TYPE_CPR
               ? migrate_address_from_qapi(c->addr, errp) : NULL;
}
