/*
 * Object type "secret": a password or key that other options name by id.  Main
 * thread, machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "system/secret.h"

#include <string.h>

#include "qom/object.h"

enum { SECRET_MAX = 1024 * 1024 };

typedef struct Secret {
    Object obj;
    char *data, *file, *keyid, *iv;
    int format;
    uint8_t *bytes; /* after complete */
    size_t len;
} Secret;

static const char *const formats[] = { "raw", "base64", NULL };

static void wipe(void *p, size_t len)
{
    if (p) {
        explicit_bzero(p, len);
        g_free(p);
    }
}

static bool read_file(Secret *s, Error **errp)
{
    g_autoptr(GError) bad = NULL;
    gsize len;

    if (!g_file_get_contents(s->file, (char **)&s->bytes, &len, &bad)) {
        error_setg(errp, "secret: %s", bad->message);
        return false;
    }
    if (len > SECRET_MAX) {
        error_setg(errp, "secret: '%s' is larger than 1 MiB", s->file);
        return false;
    }
    s->len = len;
    return true;
}

static bool decode(Secret *s, Error **errp)
{
    size_t text_len = s->len;
    char *text = g_strndup((char *)s->bytes, text_len);
    gsize len;

    g_strstrip(text);
    /* The decoder of GLib skips what is not base64: that must not pass as a key. */
    if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n") !=
        strlen(text)) {
        error_setg(errp, "secret: the data is not base64");
        wipe(text, text_len);
        return false;
    }
    wipe(s->bytes, s->len);
    s->bytes = g_base64_decode(text, &len);
    s->len = len;
    wipe(text, text_len);
    return true;
}

static bool secret_complete(Object *obj, Error **errp)
{
    Secret *s = (Secret *)obj;

    if (s->keyid || s->iv) {
        error_setg(errp, "secret: 'keyid' and 'iv' (encrypted secrets) are not supported");
        return false;
    }
    if (!s->data == !s->file) {
        error_setg(errp, "secret: give either 'data' or 'file'");
        return false;
    }
    if (s->file) {
        if (!read_file(s, errp)) {
            return false;
        }
    } else {
        s->len = strlen(s->data);
        s->bytes = (uint8_t *)g_strdup(s->data);
    }
    return s->format == 0 || decode(s, errp);
}

static void secret_finalize(Object *obj)
{
    Secret *s = (Secret *)obj;

    wipe(s->bytes, s->len);
    wipe(s->data, s->data ? strlen(s->data) : 0);
}

typedef struct SecretCopy {
    size_t len;
    uint8_t bytes[];
} SecretCopy;

static void free_copy(gpointer opaque)
{
    SecretCopy *c = opaque;

    wipe(c, sizeof(*c) + c->len);
}

GBytes *secret_lookup(const char *id, Error **errp)
{
    Object *obj = object_user_by_id(id);

    if (!obj || !object_is(obj, TYPE_SECRET)) {
        error_setg(errp, "there is no secret with id '%s'", id);
        return NULL;
    }
    const Secret *s = (Secret *)obj;
    SecretCopy *c = g_malloc(sizeof(*c) + s->len);
    c->len = s->len;
    memcpy(c->bytes, s->bytes, s->len);
    return g_bytes_new_with_free_func(c->bytes, c->len, free_copy, c);
}

/* What was given is nobody's to read back. */
static JsonNode *get_nothing(Object *obj, const PropertyInfo *p, Error **errp)
{
    error_setg(errp, "property '%s' of a secret cannot be read", p->name);
    return NULL;
}

static bool set_data(Object *obj, const PropertyInfo *p, JsonNode *value, Error **errp)
{
    Secret *s = (Secret *)obj;

    if (!JSON_NODE_HOLDS_VALUE(value) || json_node_get_value_type(value) != G_TYPE_STRING) {
        error_setg(errp, "property 'data' of a secret expects a string");
        return false;
    }
    wipe(s->data, s->data ? strlen(s->data) : 0);
    s->data = json_node_dup_string(value);
    return true;
}

static const PropertyInfo secret_props[] = {
    { .name = "data", .kind = PROP_CUSTOM, .type_name = "string", .get = get_nothing,
      .set = set_data, .description = "the secret itself" },
    { .name = "file", .kind = PROP_STRING, .offset = offsetof(Secret, file),
      .description = "file that holds the secret" },
    { .name = "format", .kind = PROP_ENUM, .offset = offsetof(Secret, format),
      .type_name = "QCryptoSecretFormat", .enum_names = formats, .def = "raw",
      .description = "raw or base64" },
    { .name = "keyid", .kind = PROP_STRING, .offset = offsetof(Secret, keyid) },
    { .name = "iv", .kind = PROP_STRING, .offset = offsetof(Secret, iv) },
    { NULL },
};

static const TypeInfo secret_type = {
    .name = TYPE_SECRET,
    .user_creatable = true,
    .instance_size = sizeof(Secret),
    .props = secret_props,
    .complete = secret_complete,
    .finalize = secret_finalize,
    .description = "password or key for other options",
};
TYPE_REGISTER(secret_type)
